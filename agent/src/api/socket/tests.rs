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

/// Guards against: a command that names the data of one agent and is answered by another, such as that of the service.
#[test]
fn a_data_folder_that_is_named_has_a_socket_of_its_own_beside_the_service() {
    let folder = Folder::new();
    let (service, none) = (folder.path(), folder.path().join("none"));
    let (own, other, given) = (Path::new(cli::DATA), Path::new("/mnt/var/lib/tilth"), Path::new("a.sock"));
    for (runtime, socket, data, expected) in [
        (service, None, own, service.join("agent.sock")),
        (service, None, other, other.join("agent.sock")),
        (service, Some(given), own, given.to_owned()),
        (&none, None, own, own.join("agent.sock")),
        (&none, None, other, other.join("agent.sock")),
    ] {
        assert_eq!(beside(runtime, socket, data), expected, "{runtime:?} {socket:?} {data:?}");
    }
}
