//! Files of a plugged-in certificate authority, followed: what replaces them signs as soon as it is whole.
//!
//! Source: `shared/spec/security.md` 1.4, traps 12 and 13.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use ca::Authority;
use ca::plugged::{Files, check_names_may_follow, check_roots_may_follow};
use tokio::time::sleep;

use super::{Plugging, Publisher};

/// Time between two looks at the files: a mounted Secret is replaced by links, which tell no watcher of one folder.
const LOOK: Duration = Duration::from_secs(1);
/// How long files must stay as they are before they are taken.
const SETTLED: Duration = Duration::from_millis(100);

/// Looks at the files again and again, and publishes what they become. What cannot be used is told once, and what was there
/// before goes on signing.
pub(super) async fn follow(
    plugging: &Plugging,
    (files, signs): (Files, Authority),
    publisher: &Publisher,
) -> Result<()> {
    let mut followed = Followed { seen: files.clone(), good: files, signs, unread: None };
    loop {
        sleep(LOOK).await;
        let Some(files) = followed.news(plugging.read().await) else { continue };
        sleep(SETTLED).await;
        if followed.news(plugging.read().await).as_ref() != Some(&files) {
            continue;
        }
        match followed.replace(files, plugging.multiroot, SystemTime::now()) {
            Ok(authority) => {
                publisher.plug(&followed.good, authority);
                tracing::info!(folder = %plugging.folder.display(), "the plugged-in authority was replaced");
            }
            Err(error) => tracing::error!("{error}; what was there before goes on signing"),
        }
    }
}

/// What is known of the files.
struct Followed {
    /// The last that were looked at, good or not.
    seen: Files,
    /// The last that were published.
    good: Files,
    /// What became of these.
    signs: Authority,
    /// Why they could not be read, when that was told.
    unread: Option<String>,
}

impl Followed {
    /// The files, if they are not those that were looked at last.
    fn news(&mut self, read: Result<Option<Files>>) -> Option<Files> {
        let problem = match read {
            Ok(Some(files)) => {
                self.unread = None;
                return (files != self.seen).then_some(files);
            }
            Ok(None) => "the files of the plugged-in certificate authority are gone".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if self.unread.as_ref() != Some(&problem) {
            tracing::warn!("{problem}; what was there before goes on signing");
            self.unread = Some(problem);
        }
        None
    }

    /// The authority of new files, if they may take the place of those before.
    fn replace(&mut self, files: Files, multiroot: bool, now: SystemTime) -> Result<Authority, ca::Error> {
        self.seen = files.clone();
        check_roots_may_follow(self.good.roots(), files.roots(), multiroot)?;
        let authority = files.authority(now)?;
        check_names_may_follow(&self.signs, &authority)?;
        self.good = files;
        self.signs = authority.clone();
        Ok(authority)
    }
}
