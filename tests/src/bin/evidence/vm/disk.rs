//! A disk that forgets: a power cut loses what the guest wrote and did not flush, each block or not by chance. To qemu it is an NBD export
//! on a Unix socket (protocol: the NetworkBlockDevice project's `doc/proto.md`, fixed newstyle handshake and simple replies).
//!
//! Its first content is an image, which stays as it is: what is written is kept in memory.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tilth_tests::random::Random;

/// Unit of what is kept or lost: the block of the guest's file system.
const BLOCK: usize = 4096;

/// Upper limit of the bytes of one request; qemu asks for at most 32 MiB.
const LONGEST: u32 = 64 << 20;

type Block = Box<[u8; BLOCK]>;

pub(super) struct Disk(Arc<Mutex<Blocks>>);

struct Blocks {
    image: File,
    size: u64,
    flushed: HashMap<u64, Block>,
    unflushed: BTreeMap<u64, Block>,
}

/// A disk while a machine is on.
pub(super) struct Attached {
    socket: PathBuf,
    server: JoinHandle<io::Result<()>>,
}

impl Disk {
    pub(super) fn of_image(image: &Path) -> io::Result<Disk> {
        let image = File::open(image)?;
        let size = image.metadata()?.len();
        Ok(Disk(Arc::new(Mutex::new(Blocks { image, size, flushed: HashMap::new(), unflushed: BTreeMap::new() }))))
    }

    /// Serves the next connection to a socket, to its end.
    pub(super) fn attach(&self, socket: &Path) -> io::Result<Attached> {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket)?;
        let blocks = Arc::clone(&self.0);
        let server = thread::spawn(move || serve(listener.accept()?.0, &blocks));
        Ok(Attached { socket: socket.to_owned(), server })
    }

    /// Loses about half of the blocks that are not flushed; how many were lost.
    pub(super) fn lose_power(&self, random: &mut Random) -> usize {
        let mut blocks = lock(&self.0);
        let unflushed = std::mem::take(&mut blocks.unflushed);
        let all = unflushed.len();
        let kept: Vec<_> = unflushed.into_iter().filter(|_| random.one_in(2)).collect();
        let lost = all - kept.len();
        blocks.flushed.extend(kept);
        lost
    }
}

impl Attached {
    /// Waits for the last request. The machine must be off.
    pub(super) fn detach(self) {
        // Where the machine never connected, the server still waits for somebody.
        drop(UnixStream::connect(&self.socket));
        // The connection of a machine that was killed ends with an error.
        let _ = self.server.join();
    }
}

impl Blocks {
    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        for (number, at, part) in parts(offset, into.len()) {
            let bytes = &mut into[part];
            match self.unflushed.get(&number).or_else(|| self.flushed.get(&number)) {
                Some(block) => bytes.copy_from_slice(&block[at..at + bytes.len()]),
                None => self.image.read_exact_at(bytes, number * BLOCK as u64 + at as u64)?,
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        for (number, at, part) in parts(offset, bytes.len()) {
            let bytes = &bytes[part];
            let mut block: Block = Box::new([0; BLOCK]);
            if bytes.len() < BLOCK {
                self.read(number * BLOCK as u64, &mut block[..])?;
            }
            block[at..at + bytes.len()].copy_from_slice(bytes);
            self.unflushed.insert(number, block);
        }
        Ok(())
    }

    fn flush(&mut self) {
        self.flushed.extend(std::mem::take(&mut self.unflushed));
    }

    /// Flushes blocks that a request covers, as one with FUA asks for.
    fn flush_range(&mut self, offset: u64, length: usize) {
        for (number, ..) in parts(offset, length) {
            if let Some(block) = self.unflushed.remove(&number) {
                self.flushed.insert(number, block);
            }
        }
    }
}

/// What a range has of each block: its number, where in it, and the part of the range.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let position = offset + done as u64;
        let at = (position % BLOCK as u64) as usize;
        let part = done..length.min(done + BLOCK - at);
        done = part.end;
        (!part.is_empty()).then_some((position / BLOCK as u64, at, part))
    })
}

fn lock(blocks: &Mutex<Blocks>) -> MutexGuard<'_, Blocks> {
    blocks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Numbers of the protocol.
mod nbd {
    pub(super) const GREETING: &[u8; 16] = b"NBDMAGICIHAVEOPT";
    /// Fixed newstyle, no padding of zeros.
    pub(super) const HANDSHAKE: u16 = 0b11;
    pub(super) const GO: u32 = 7;
    pub(super) const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
    pub(super) const ACK: u32 = 1;
    pub(super) const INFO: u32 = 3;
    pub(super) const UNSUPPORTED: u32 = (1 << 31) + 1;
    pub(super) const INFO_EXPORT: u16 = 0;
    /// Flags are there; flush and FUA are understood.
    pub(super) const EXPORT: u16 = 0b1101;
    pub(super) const REQUEST: u32 = 0x2560_9513;
    pub(super) const SIMPLE_REPLY: u32 = 0x6744_6698;
    pub(super) const FUA: u16 = 1;
    pub(super) const READ: u16 = 0;
    pub(super) const WRITE: u16 = 1;
    pub(super) const FLUSH: u16 = 3;
    pub(super) const EIO: u32 = 5;
    pub(super) const EINVAL: u32 = 22;
}

/// Answers requests until the other side closes.
fn serve(mut stream: UnixStream, blocks: &Mutex<Blocks>) -> io::Result<()> {
    let size = lock(blocks).size;
    agree(&mut stream, size)?;
    loop {
        let magic = u32::from_be_bytes(next(&mut stream)?);
        let flags = u16::from_be_bytes(next(&mut stream)?);
        let kind = u16::from_be_bytes(next(&mut stream)?);
        let cookie: [u8; 8] = next(&mut stream)?;
        let offset = u64::from_be_bytes(next(&mut stream)?);
        let length = u32::from_be_bytes(next(&mut stream)?);
        // Also how a client says that it leaves.
        if magic != nbd::REQUEST || length > LONGEST || ![nbd::READ, nbd::WRITE, nbd::FLUSH].contains(&kind) {
            return Ok(());
        }
        let mut data = vec![0; if kind == nbd::FLUSH { 0 } else { length as usize }];
        if kind == nbd::WRITE {
            stream.read_exact(&mut data)?;
        }
        let error = match obey(&mut lock(blocks), (kind, flags), offset, &mut data) {
            Ok(()) => 0,
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => nbd::EINVAL,
            Err(_) => nbd::EIO,
        };
        let mut reply = [&nbd::SIMPLE_REPLY.to_be_bytes()[..], &error.to_be_bytes(), &cookie].concat();
        if kind == nbd::READ && error == 0 {
            reply.extend(data);
        }
        stream.write_all(&reply)?;
    }
}

fn obey(blocks: &mut Blocks, (kind, flags): (u16, u16), offset: u64, data: &mut [u8]) -> io::Result<()> {
    let is_inside = offset.checked_add(data.len() as u64).is_some_and(|end| end <= blocks.size);
    if !is_inside {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    match kind {
        nbd::READ => blocks.read(offset, data)?,
        nbd::WRITE => blocks.write(offset, data)?,
        _ => blocks.flush(),
    }
    if kind == nbd::WRITE && flags & nbd::FUA != 0 {
        blocks.flush_range(offset, data.len());
    }
    Ok(())
}

/// The handshake: the one export, whatever its name, and no extension.
fn agree(stream: &mut UnixStream, size: u64) -> io::Result<()> {
    stream.write_all(&[&nbd::GREETING[..], &nbd::HANDSHAKE.to_be_bytes()].concat())?;
    let _flags: [u8; 4] = next(stream)?;
    loop {
        let _magic: [u8; 8] = next(stream)?;
        let option = u32::from_be_bytes(next(stream)?);
        let length = u32::from_be_bytes(next(stream)?);
        io::copy(&mut Read::by_ref(stream).take(u64::from(length)), &mut io::sink())?;
        if option != nbd::GO {
            answer(stream, option, nbd::UNSUPPORTED, &[])?;
            continue;
        }
        let export = [&nbd::INFO_EXPORT.to_be_bytes()[..], &size.to_be_bytes(), &nbd::EXPORT.to_be_bytes()].concat();
        answer(stream, option, nbd::INFO, &export)?;
        return answer(stream, option, nbd::ACK, &[]);
    }
}

fn answer(stream: &mut UnixStream, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    let length = u32::try_from(data.len()).map_err(io::Error::other)?;
    let head = [option, kind, length].map(u32::to_be_bytes).concat();
    stream.write_all(&[&nbd::OPTION_REPLY.to_be_bytes()[..], &head, data].concat())
}

fn next<const LENGTH: usize>(stream: &mut UnixStream) -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tilth_tests::agent::Folder;

    fn disk(folder: &Folder) -> Disk {
        Disk::of_image(&folder.write("image", [7; 4 * BLOCK])).unwrap()
    }

    fn read(disk: &Disk, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        lock(&disk.0).read(offset, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_flushed_outlives_a_power_cut_and_about_half_of_the_rest_is_lost() {
        let folder = Folder::new("disk");
        let disk = disk(&folder);
        lock(&disk.0).write(BLOCK as u64 - 1, &[1, 2, 3]).unwrap();
        assert_eq!(read(&disk, BLOCK as u64 - 2, 5), [7, 1, 2, 3, 7]);
        lock(&disk.0).flush();
        let mut random = Random::new(1);
        let mut lost = 0;
        for _ in 0..100 {
            lock(&disk.0).write(2 * BLOCK as u64, &[9; 2 * BLOCK]).unwrap();
            lost += disk.lose_power(&mut random);
        }
        assert!((60..140).contains(&lost), "{lost} of 200 blocks were lost");
        assert_eq!(read(&disk, BLOCK as u64 - 2, 5), [7, 1, 2, 3, 7]);
    }

    #[test]
    fn a_write_with_fua_is_flushed_alone() {
        let folder = Folder::new("disk-fua");
        let disk = disk(&folder);
        obey(&mut lock(&disk.0), (nbd::WRITE, 0), 0, &mut [1; BLOCK]).unwrap();
        obey(&mut lock(&disk.0), (nbd::WRITE, nbd::FUA), BLOCK as u64, &mut [2; BLOCK]).unwrap();
        assert_eq!(lock(&disk.0).unflushed.keys().copied().collect::<Vec<_>>(), [0]);
        assert!(obey(&mut lock(&disk.0), (nbd::READ, 0), 4 * BLOCK as u64, &mut [0; 1]).is_err());
    }
}
