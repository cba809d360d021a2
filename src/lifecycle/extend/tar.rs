//! The members of a tar: USTAR, PAX and GNU. Records are taken apart by their length, as their values may hold any byte.

use super::snapshot::pack::{CAPABILITY, XATTR};
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use lifecycle_image::layer::header::{EntryKind, Header, TRAILER, padding};
use std::io::{self, Read, Write};

const BLOCK: usize = 512;
/// The largest PAX header or long name that is read, in bytes.
const MAX_HEADER: u64 = 1 << 20;

/// What a member of a tar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// A member of a tar.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) modified: i64,
    pub(super) device: (u32, u32),
    size: u64,
    /// Extended attributes, as PAX records have them.
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Member {
    /// The file capabilities.
    pub(super) fn capability(&self) -> Option<&[u8]> {
        let mut xattrs = self.xattrs.iter();
        let name = |key: &[u8]| key.strip_prefix(XATTR.as_bytes()) == Some(CAPABILITY.as_bytes());
        xattrs
            .find(|(key, _)| name(key))
            .map(|(_, value)| value.as_slice())
    }

    fn header(&self) -> Header<'_> {
        let kind = match self.kind {
            Kind::File => EntryKind::File,
            Kind::HardLink => EntryKind::HardLink,
            Kind::Symlink => EntryKind::Symlink,
            Kind::CharDevice => EntryKind::CharDevice,
            Kind::BlockDevice => EntryKind::BlockDevice,
            Kind::Directory => EntryKind::Directory,
            Kind::Fifo => EntryKind::Fifo,
        };
        Header {
            link: &self.link,
            size: self.size,
            device: self.device,
            records: &self.xattrs,
            ..Header::new(kind, &self.name, self.mode, self.uid, self.gid)
        }
    }
}

/// Copies a tar, with the one time that layers of this lifecycle have. Of what only PAX knows, extended attributes stay.
///
/// # Errors
/// Kind `Corrupt`: not a tar. Or reading or writing fails.
pub(super) fn with_constant_times(tar: impl Read, out: &mut dyn Write) -> Result<()> {
    read(tar, |member, content| {
        let mut header = Vec::with_capacity(BLOCK);
        member.header().encode(&mut header)?;
        out.write_all(&header)?;
        if io::copy(content, out)? != member.size {
            return Err(corrupt("it ends within a file"));
        }
        let padding = [0; BLOCK].get(..padding(member.size)).unwrap_or_default();
        Ok(out.write_all(padding)?)
    })?;
    Ok(out.write_all(&[0; TRAILER])?)
}

/// Hands every member to `visit`, with its content.
///
/// # Errors
/// Kind `Corrupt`: not a tar. Or reading or `visit` fails.
pub(super) fn read(
    mut tar: impl Read,
    mut visit: impl FnMut(Member, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let mut extra = Extra::default();
    while let Some(header) = next_header(&mut tar)? {
        let kind = header.entry_type();
        let size = header.entry_size().map_err(corrupt)?;
        let size = match kind.is_pax_local_extensions() || kind.is_pax_global_extensions() {
            true => size,
            false => extra.size.unwrap_or(size),
        };
        let mut content = (&mut tar).take(size);
        if kind.is_pax_local_extensions() {
            extra.read_records(&bounded(&mut content)?)?;
        } else if kind.is_gnu_longname() {
            extra.name = Some(text(&bounded(&mut content)?));
        } else if kind.is_gnu_longlink() {
            extra.link = Some(text(&bounded(&mut content)?));
        } else if !kind.is_pax_global_extensions() {
            let member = std::mem::take(&mut extra).member(&header, size)?;
            visit(member, &mut content)?;
        }
        let padding = size.wrapping_neg() % BLOCK as u64;
        let rest = content.limit() + padding;
        let skipped = io::copy(&mut (&mut tar).take(rest), &mut io::sink());
        if skipped.context(|| "read tar")? != rest {
            return Err(Error::new(ErrorKind::Corrupt, "tar ends too early"));
        }
    }
    Ok(())
}

/// Whether what follows begins like a tar.
pub(super) fn is_tar(mut content: impl Read) -> bool {
    matches!(next_header(&mut content), Ok(Some(_)))
}

fn corrupt(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("malformed tar: {error}"))
}

/// The next header; none at the end.
fn next_header(tar: &mut impl Read) -> Result<Option<tar::Header>> {
    let mut header = tar::Header::new_old();
    let mut block = Vec::with_capacity(BLOCK);
    tar.take(BLOCK as u64)
        .read_to_end(&mut block)
        .context(|| "read tar")?;
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    if block.len() != BLOCK {
        return Err(corrupt("it ends within a header"));
    }
    header.as_mut_bytes().copy_from_slice(&block);
    let is_checksum = |at: usize| (148..156).contains(&at);
    let sum = block.iter().enumerate().map(|(at, byte)| match at {
        at if is_checksum(at) => u32::from(b' '),
        _ => u32::from(*byte),
    });
    match header.cksum() {
        Ok(expected) if expected == sum.sum::<u32>() => Ok(Some(header)),
        _ => Err(corrupt("wrong checksum")),
    }
}

fn bounded(content: &mut impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    content.take(MAX_HEADER + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_HEADER {
        true => Err(corrupt("a header is too long")),
        false => Ok(bytes),
    }
}

/// The bytes before the first NUL.
fn text(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0);
    bytes
        .get(..end.unwrap_or(bytes.len()))
        .unwrap_or_default()
        .to_vec()
}

/// What comes in headers of its own before the member.
#[derive(Default)]
struct Extra {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    modified: Option<i64>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Extra {
    /// `LENGTH KEY=VALUE\n`, one after the other.
    fn read_records(&mut self, mut records: &[u8]) -> Result<()> {
        while !records.is_empty() {
            let (record, rest) = record(records).ok_or_else(|| corrupt("a PAX record"))?;
            records = rest;
            let equals = record.iter().position(|byte| *byte == b'=');
            let (key, value) = record.split_at(equals.ok_or_else(|| corrupt("a PAX record"))?);
            let value = value.get(1..).unwrap_or_default();
            let key = String::from_utf8_lossy(key);
            match &*key {
                "path" => self.name = Some(text(value)),
                "linkpath" => self.link = Some(text(value)),
                "size" => self.size = Some(number(value)?),
                "uid" => self.uid = Some(number(value)?),
                "gid" => self.gid = Some(number(value)?),
                "mtime" => {
                    let seconds = value.split(|byte| *byte == b'.').next();
                    self.modified = Some(number(seconds.unwrap_or_default())?);
                }
                key if key.starts_with(XATTR) => {
                    self.xattrs.push((key.as_bytes().to_vec(), value.to_vec()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn member(self, header: &tar::Header, size: u64) -> Result<Member> {
        let kind = match header.entry_type() {
            // Old tars mark directories by a slash alone.
            tar::EntryType::Regular if header.path_bytes().ends_with(b"/") => Kind::Directory,
            tar::EntryType::Regular | tar::EntryType::Continuous => Kind::File,
            tar::EntryType::Link => Kind::HardLink,
            tar::EntryType::Symlink => Kind::Symlink,
            tar::EntryType::Char => Kind::CharDevice,
            tar::EntryType::Block => Kind::BlockDevice,
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Fifo => Kind::Fifo,
            _ => return Err(corrupt("a member of an unknown type")),
        };
        let id = |id: io::Result<u64>| u32::try_from(id.map_err(corrupt)?).map_err(corrupt);
        let device = |number: io::Result<Option<u32>>| number.map(Option::unwrap_or_default);
        let seconds = header.mtime().map_err(corrupt)?;
        Ok(Member {
            name: self
                .name
                .unwrap_or_else(|| header.path_bytes().into_owned()),
            link: self.link.unwrap_or_else(|| {
                let link = header.link_name_bytes().unwrap_or_default();
                link.into_owned()
            }),
            kind,
            mode: header.mode().map_err(corrupt)? & 0o7777,
            uid: self.uid.map_or_else(|| id(header.uid()), Ok)?,
            gid: self.gid.map_or_else(|| id(header.gid()), Ok)?,
            modified: self
                .modified
                .unwrap_or(i64::try_from(seconds).unwrap_or_default()),
            device: (
                device(header.device_major()).unwrap_or_default(),
                device(header.device_minor()).unwrap_or_default(),
            ),
            size,
            xattrs: self.xattrs,
        })
    }
}

/// The first record without its length and newline, and what follows.
fn record(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = records.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(records.get(..space)?)
        .ok()?
        .parse()
        .ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    Some((record, rest))
}

fn number<N: std::str::FromStr>(text: &[u8]) -> Result<N> {
    let text = std::str::from_utf8(text).map_err(corrupt)?;
    text.parse()
        .map_err(|_| corrupt(format!("number '{text}'")))
}
