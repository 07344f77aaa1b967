//! Folders with links, loops and things that are no files.

use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

fn look(dir: &TempDir, links: &mut Links) -> (Vec<String>, Vec<String>, BTreeSet<PathBuf>) {
    let root = dir.path().canonicalize().unwrap();
    let mut watched = BTreeSet::new();
    let mut watch = |dir: &Path| {
        watched.insert(dir.to_owned());
    };
    let found = Walk { root: &root, links, watch: &mut watch }.look(&root);
    let relative = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
    let troubles = found.troubles.iter().map(|(path, why)| format!("{}: {why}", relative(path)));
    (found.files.iter().map(relative).collect(), troubles.collect(), watched)
}

fn write(path: PathBuf) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "").unwrap();
}

#[test]
fn files_are_found_below_but_not_under_hidden_names() {
    let dir = TempDir::new().unwrap();
    for name in ["b.yaml", "a/c.yml", "a/.git/d.yaml", ".e.yaml", "f.txt", "a/b/g.json", "..data/h.yaml"] {
        write(dir.path().join(name));
    }
    let (files, troubles, _) = look(&dir, &mut Links::default());
    assert_eq!(files, ["a/b/g.json", "a/c.yml", "b.yaml"]);
    assert_eq!(troubles, [""; 0]);
}

#[test]
fn a_mounts_files_rest_on_its_link_and_on_their_own_directory() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().canonicalize().unwrap();
    write(root.join("..1/a.yaml"));
    write(root.join("..1/sub/b.yaml"));
    symlink("..1", root.join("..data")).unwrap();
    symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
    symlink("..data/sub", root.join("sub")).unwrap();
    symlink("..data/gone.yaml", root.join("gone.yaml")).unwrap();
    let mut links = Links::default();
    let (files, troubles, watched) = look(&dir, &mut links);
    assert_eq!((files, troubles), (vec!["a.yaml".to_owned(), "sub/b.yaml".to_owned()], vec![]));
    let concerned = links.concerned(&root, OsStr::new("..data"));
    assert_eq!(concerned, ["a.yaml", "gone.yaml", "sub"].iter().map(|name| root.join(name)).collect());
    assert_eq!(
        links.concerned(&root.join("..1/sub"), OsStr::new("b.yaml")),
        BTreeSet::from([root.join("sub/b.yaml")])
    );
    assert_eq!(
        links.concerned(&root.join("..1"), OsStr::new("gone.yaml")),
        BTreeSet::from([root.join("gone.yaml")])
    );
    assert!(
        [root.clone(), root.join("..1"), root.join("..1/sub")].iter().all(|dir| watched.contains(dir)),
        "{watched:?}"
    );
}

#[test]
fn loops_end() {
    let dir = TempDir::new().unwrap();
    write(dir.path().join("a/b.yaml"));
    symlink("..", dir.path().join("a/up")).unwrap();
    symlink("self.yaml", dir.path().join("self.yaml")).unwrap();
    let (files, troubles, _) = look(&dir, &mut Links::default());
    assert_eq!(files, ["a/b.yaml"]);
    assert_eq!(
        troubles,
        [
            "a/up: leads back to a directory above it, or is too deep",
            "self.yaml: cannot be followed: too many links"
        ]
    );
}

#[test]
fn what_is_no_file_is_told_and_not_opened() {
    let dir = TempDir::new().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("a.yaml")).unwrap();
    let (files, troubles, _) = look(&dir, &mut Links::default());
    assert_eq!((files, troubles), (vec![], vec!["a.yaml: is no regular file".to_owned()]));
}

#[test]
fn a_folder_that_is_away_is_trouble_but_a_file_that_is_away_is_gone() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("away");
    let mut links = Links::default();
    let mut ignore = |_: &Path| {};
    let mut walk = Walk { root: &root, links: &mut links, watch: &mut ignore };
    assert_eq!(walk.look(&root).troubles.len(), 1);
    assert!(walk.look(&root.join("a.yaml")).troubles.is_empty());
    assert_eq!(links.concerned(dir.path(), OsStr::new("away")), BTreeSet::from([root.clone()]));
}
