use tokio::runtime::Builder;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{advance, pause};

use super::*;
use crate::store::tests::farm::Folder;

/// Guards against: an agent that stands still with the disk on which its socket is. The one thread that may wait for disks hangs here.
#[test]
fn a_disk_that_hangs_holds_up_the_look_for_the_socket_and_nothing_else() {
    let folder = Folder::new();
    let path = folder.path().join("agent.sock");
    Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap().block_on(async {
        pause();
        let taken = take(&path).unwrap();
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let hangs = spawn_blocking(move || held.recv().unwrap_or_default());
        fs::remove_file(&path).unwrap();
        let again = tokio::spawn(again(path.clone()));
        for _ in 0..3 {
            yield_now().await;
            advance(LOOK).await;
        }
        assert!(!again.is_finished() && !path.exists(), "the file is looked at by the thread that hangs");
        drop(let_go);
        hangs.await.unwrap();
        again.await.unwrap();
        assert!(path.exists());
        drop(taken);
    });
}
