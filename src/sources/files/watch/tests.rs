//! Real folders, changed as editors, kubelets and operators change them.

use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::load;
use super::super::testing::{appeared, cleared, said, virtual_service};
use super::*;

/// A folder that is followed.
struct Followed {
    dir: TempDir,
    batches: mpsc::Receiver<Batch>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), WatchError>>,
}

/// Without sweeps in the time of a test: what it sees, events told.
fn events_only() -> Options {
    Options { sweep_beside_events: Duration::from_secs(3600), ..Options::default() }
}

impl Followed {
    async fn start(dir: TempDir, options: Options) -> (Self, Batch) {
        let (sender, batches) = mpsc::channel(16);
        let shutdown = CancellationToken::new();
        let (path, token) = (dir.path().to_owned(), shutdown.clone());
        let task = tokio::spawn(async move { watch(&path, options, sender, token).await });
        let mut followed = Self { dir, batches, shutdown, task };
        let first = followed.next().await;
        assert!(first.complete);
        (followed, first)
    }

    async fn next(&mut self) -> Batch {
        let batch = timeout(Duration::from_secs(20), self.batches.recv()).await;
        batch.expect("a batch in time").expect("the task runs")
    }

    async fn said(&mut self) -> String {
        let batch = self.next().await;
        assert!(!batch.complete);
        assert_eq!(batch.appeared, []);
        said(&batch)
    }

    /// Whether nothing has been sent that was not read: true of all that came before a change to a file of this name.
    async fn nothing_else(&mut self) {
        self.put("zz-last.yaml", &virtual_service("zz-last", "x"));
        assert_eq!(self.said().await, "+zz-last=x");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        put(&self.path(name), text);
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}

/// Whole or not at all.
fn put(path: &Path, text: &str) {
    let beside = path.with_extension("tmp");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, mark) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, virtual_service(path.file_stem().unwrap().to_str().unwrap(), mark)).unwrap();
    }
    dir
}

#[tokio::test]
async fn an_empty_folder_is_complete_too() {
    let (followed, first) = Followed::start(folder(&[]), events_only()).await;
    assert_eq!(first, Batch { complete: true, ..Batch::default() });
    followed.end().await;
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_an_error() {
    let (sender, _batches) = mpsc::channel(1);
    let error = watch(Path::new("/nowhere/at/all"), Options::default(), sender, CancellationToken::new())
        .await
        .unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/at/all: "), "{error}");
    assert!(load(Path::new("/nowhere/at/all")).is_err());
}

#[tokio::test]
async fn the_task_ends_when_nobody_receives() {
    let (followed, _) = Followed::start(folder(&[]), events_only()).await;
    let Followed { dir, batches, task, .. } = followed;
    drop(batches);
    put(&dir.path().join("a.yaml"), &virtual_service("a", "x"));
    timeout(Duration::from_secs(20), task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn files_are_made_written_renamed_and_deleted() {
    let (mut followed, first) =
        Followed::start(folder(&[("a.yaml", "1"), ("sub/b.yaml", "1")]), events_only()).await;
    assert_eq!(said(&first), "+a=1 +b=1");
    fs::write(followed.path("c.yaml"), virtual_service("c", "1")).unwrap();
    assert_eq!(followed.said().await, "+c=1");
    fs::write(followed.path("c.yaml"), virtual_service("c", "2")).unwrap();
    assert_eq!(followed.said().await, "+c=2");
    followed.put("a.yaml", &virtual_service("a", "2"));
    assert_eq!(followed.said().await, "+a=2");
    fs::rename(followed.path("a.yaml"), followed.path("sub/z.yaml")).unwrap();
    fs::remove_file(followed.path("sub/b.yaml")).unwrap();
    assert_eq!(followed.said().await, "-b", "a renaming changes nothing");
    fs::rename(followed.path("sub/z.yaml"), followed.path("z.yaml.off")).unwrap();
    assert_eq!(followed.said().await, "-a");
    fs::hard_link(followed.path("z.yaml.off"), followed.path("again.yaml")).unwrap();
    assert_eq!(followed.said().await, "+a=2");
    followed.nothing_else().await;
    followed.end().await;
}

#[tokio::test]
async fn directories_come_move_and_go() {
    let (mut followed, _) = Followed::start(folder(&[]), events_only()).await;
    let aside = folder(&[("d/a.yaml", "1"), ("d/e/b.yaml", "1")]);
    fs::rename(aside.path().join("d"), followed.path("d")).unwrap();
    assert_eq!(followed.said().await, "+a=1 +b=1");
    fs::rename(followed.path("d"), followed.path("moved")).unwrap();
    followed.put("moved/e/b.yaml", &virtual_service("b", "2"));
    assert_eq!(followed.said().await, "+b=2");
    fs::rename(followed.path("moved"), followed.path(".hidden")).unwrap();
    assert_eq!(followed.said().await, "-a -b");
    followed.put(".hidden/a.yaml", &virtual_service("a", "3"));
    fs::create_dir_all(followed.path("x/y/z")).unwrap();
    followed.put("x/y/z/c.yaml", &virtual_service("c", "1"));
    assert_eq!(followed.said().await, "+c=1");
    fs::remove_dir_all(followed.path("x")).unwrap();
    assert_eq!(followed.said().await, "-c");
    followed.end().await;
}

/// Writes a mount's next form as a kubelet does, and swaps it in.
fn mount(root: &Path, version: &str, files: &[(&str, &str)]) {
    let dir = root.join(version);
    fs::create_dir(&dir).unwrap();
    for (name, mark) in files {
        fs::write(dir.join(format!("{name}.yaml")), virtual_service(name, mark)).unwrap();
    }
    let old = fs::read_link(root.join("..data")).ok();
    symlink(version, root.join("..data_tmp")).unwrap();
    fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    for (name, _) in files {
        let link = root.join(format!("{name}.yaml"));
        if fs::symlink_metadata(&link).is_err() {
            symlink(format!("..data/{name}.yaml"), link).unwrap();
        }
    }
    if let Some(old) = old {
        fs::remove_dir_all(root.join(old)).unwrap();
    }
}

#[tokio::test]
async fn the_swap_of_a_mount_is_one_batch() {
    let dir = TempDir::new().unwrap();
    mount(dir.path(), "..2024_1", &[("a", "1"), ("b", "1"), ("c", "1")]);
    let (mut followed, first) = Followed::start(dir, events_only()).await;
    assert_eq!(said(&first), "+a=1 +b=1 +c=1");
    mount(followed.dir.path(), "..2024_2", &[("a", "2"), ("b", "2")]);
    assert_eq!(followed.said().await, "+a=2 +b=2 -c");
    mount(followed.dir.path(), "..2024_3", &[("a", "3"), ("b", "3"), ("c", "3")]);
    assert_eq!(followed.said().await, "+a=3 +b=3 +c=3");
    fs::write(followed.path("..2024_3/a.yaml"), virtual_service("a", "4")).unwrap();
    assert_eq!(followed.said().await, "+a=4", "the directory behind the link is watched");
    followed.nothing_else().await;
    followed.end().await;
}

#[tokio::test]
async fn the_folder_itself_may_be_a_link_that_is_swapped() {
    let aside = folder(&[("v1/a.yaml", "1"), ("v1/b.yaml", "1"), ("v2/a.yaml", "2"), ("v2/b.yaml", "2")]);
    symlink("v1", aside.path().join("current")).unwrap();
    let (sender, mut batches) = mpsc::channel(16);
    let shutdown = CancellationToken::new();
    let (path, token) = (aside.path().join("current"), shutdown.clone());
    let task = tokio::spawn(async move { watch(&path, events_only(), sender, token).await });
    assert_eq!(said(&batches.recv().await.unwrap()), "+a=1 +b=1");
    symlink("v2", aside.path().join("next")).unwrap();
    fs::rename(aside.path().join("next"), aside.path().join("current")).unwrap();
    assert_eq!(said(&batches.recv().await.unwrap()), "+a=2 +b=2");
    shutdown.cancel();
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_folder_that_is_away_for_a_while_keeps_what_it_gave() {
    let aside =
        folder(&[("mesh/a.yaml", "1"), ("mesh/b.yaml", "1"), ("next/a.yaml", "2"), ("next/b.yaml", "1")]);
    let (sender, mut batches) = mpsc::channel(16);
    let shutdown = CancellationToken::new();
    let (path, token) = (aside.path().join("mesh"), shutdown.clone());
    let task = tokio::spawn(async move { watch(&path, events_only(), sender, token).await });
    assert_eq!(said(&batches.recv().await.unwrap()), "+a=1 +b=1");
    fs::rename(aside.path().join("mesh"), aside.path().join("old")).unwrap();
    let batch = batches.recv().await.unwrap();
    assert_eq!((said(&batch), batch.appeared.len()), (String::new(), 1));
    fs::rename(aside.path().join("next"), aside.path().join("mesh")).unwrap();
    let batch = batches.recv().await.unwrap();
    assert_eq!((said(&batch), batch.cleared.len()), ("+a=2".to_owned(), 1));
    shutdown.cancel();
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_editor_that_takes_the_file_away_first_takes_no_object_away() {
    let (mut followed, _) = Followed::start(folder(&[("a.yaml", "1")]), events_only()).await;
    fs::rename(followed.path("a.yaml"), followed.path("a.yaml~")).unwrap();
    fs::write(followed.path("a.yaml"), virtual_service("a", "2")).unwrap();
    fs::remove_file(followed.path("a.yaml~")).unwrap();
    assert_eq!(followed.said().await, "+a=2");
    fs::remove_file(followed.path("a.yaml")).unwrap();
    fs::write(followed.path("a.yaml"), virtual_service("a", "3")).unwrap();
    assert_eq!(followed.said().await, "+a=3");
    followed.nothing_else().await;
    followed.end().await;
}

#[tokio::test]
async fn a_file_counts_when_its_writer_closes_it() {
    use std::io::Write as _;
    let (mut followed, _) = Followed::start(folder(&[("a.yaml", "1")]), events_only()).await;
    let text = virtual_service("a", "2");
    let (half, rest) = text.split_at(text.len() / 2);
    let mut file = fs::File::create(followed.path("a.yaml")).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    let mut new = fs::File::create(followed.path("new.yaml")).unwrap();
    new.write_all(b"a: b: c").unwrap();
    followed.put("b.yaml", &virtual_service("b", "1"));
    assert_eq!(followed.said().await, "+b=1");
    file.write_all(rest.as_bytes()).unwrap();
    drop(file);
    assert_eq!(followed.said().await, "+a=2");
    drop(new);
    let batch = followed.next().await;
    assert_eq!((said(&batch), batch.appeared.len()), (String::new(), 1));
    followed.end().await;
}

#[tokio::test]
async fn a_file_that_breaks_is_reported_and_heals() {
    let (mut followed, _) = Followed::start(folder(&[("a.yaml", "1")]), events_only()).await;
    followed.put("a.yaml", "kind: VirtualService\nmetadata: name: a\n");
    let batch = followed.next().await;
    let reports = appeared(&batch, followed.dir.path());
    assert_eq!((said(&batch), reports.len()), (String::new(), 1));
    assert!(reports[0].starts_with("error: a.yaml: document 1, line 2, column 15: "), "{reports:?}");
    assert!(reports[0].ends_with("; still served as last read: VirtualService/shop/a"), "{reports:?}");
    followed.put("a.yaml", &virtual_service("a", "2"));
    let batch = followed.next().await;
    assert_eq!((said(&batch), cleared(&batch, followed.dir.path())), ("+a=2".to_owned(), reports));
    followed.end().await;
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_and_keeps_what_it_gave() {
    let (mut followed, _) = Followed::start(folder(&[("a.yaml", "1")]), events_only()).await;
    followed.put("a.yaml", &format!("{}#{}", virtual_service("a", "2"), " ".repeat(10_000_001)));
    let batch = followed.next().await;
    let reports = appeared(&batch, followed.dir.path());
    assert_eq!(said(&batch), "");
    assert!(reports[0].starts_with("error: a.yaml: the file is larger than 10 MB ("), "{reports:?}");
    followed.put("a.yaml", &format!("{}#{}", virtual_service("a", "2"), " ".repeat(9_000_000)));
    assert_eq!(said(&followed.next().await), "+a=2");
    followed.end().await;
}

#[tokio::test]
async fn many_renames_are_few_batches() {
    let names: Vec<String> = (0..200).map(|number| format!("n{number:03}.yaml")).collect();
    let (mut followed, first) = Followed::start(
        folder(&names.iter().map(|name| (name.as_str(), "1")).collect::<Vec<_>>()),
        events_only(),
    )
    .await;
    assert_eq!(first.events.len(), 200);
    let aside = folder(&names.iter().map(|name| (name.as_str(), "2")).collect::<Vec<_>>());
    for name in &names {
        fs::rename(aside.path().join(name), followed.path(name)).unwrap();
    }
    let (mut events, mut batches) = (0, 0);
    while events < 200 {
        events += followed.next().await.events.len();
        batches += 1;
    }
    assert!(events == 200 && batches <= 50, "{events} events in {batches} batches");
    followed.end().await;
}

#[tokio::test]
async fn without_events_sweeps_find_the_changes() {
    let quick = Options {
        events: false,
        sweep_alone: Duration::from_millis(20),
        confirm: Duration::from_millis(5),
        ..Options::default()
    };
    let (mut followed, first) = Followed::start(folder(&[("a.yaml", "1"), ("sub/b.yaml", "1")]), quick).await;
    assert_eq!(said(&first), "+a=1 +b=1");
    followed.put("a.yaml", &virtual_service("a", "2"));
    assert_eq!(followed.said().await, "+a=2");
    fs::remove_file(followed.path("sub/b.yaml")).unwrap();
    assert_eq!(followed.said().await, "-b");
    followed.put("sub/c.yaml", &virtual_service("c", "1"));
    assert_eq!(followed.said().await, "+c=1");
    followed.end().await;
}

#[tokio::test]
async fn sweeps_find_what_events_do_not_tell() {
    let aside = folder(&[("there/a.yaml", "1"), ("other/a.yaml", "2")]);
    let dir = folder(&[]);
    // A directory far behind a link is replaced by a way on which nothing is watched.
    fs::create_dir(aside.path().join("up")).unwrap();
    fs::rename(aside.path().join("there"), aside.path().join("up/there")).unwrap();
    symlink(aside.path().join("up/there/a.yaml"), dir.path().join("a.yaml")).unwrap();
    let often = Options { sweep_beside_events: Duration::from_millis(20), ..Options::default() };
    let (mut followed, first) = Followed::start(dir, often).await;
    assert_eq!(said(&first), "+a=1");
    fs::create_dir(aside.path().join("next")).unwrap();
    fs::rename(aside.path().join("other"), aside.path().join("next/there")).unwrap();
    fs::rename(aside.path().join("up"), aside.path().join("was")).unwrap();
    fs::rename(aside.path().join("next"), aside.path().join("up")).unwrap();
    loop {
        let batch = followed.next().await;
        if said(&batch) == "+a=2" {
            break;
        }
    }
    followed.end().await;
}

#[test]
fn loading_gives_the_first_batch() {
    let dir = folder(&[("a.yaml", "1"), ("sub/b.yml", "1")]);
    fs::write(dir.path().join("c.yaml"), "a: b: c").unwrap();
    let batch = load(dir.path()).unwrap();
    assert!(batch.complete);
    assert_eq!((said(&batch).as_str(), batch.appeared.len()), ("+a=1 +b=1", 1));
}
