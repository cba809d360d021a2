//! Tar headers, byte for byte as the reference's encoder writes them (FACTS 5.1): USTAR where it can represent the
//! entry, else PAX; never GNU.

use super::path::clean;
use lifecycle_core::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The size of a tar block: headers are one, contents are padded to a multiple.
pub const BLOCK: usize = 512;
/// Two zero blocks end a tar.
pub const TRAILER: usize = 2 * BLOCK;
/// The modification time of every entry: 1980-01-01T00:00:01Z.
pub const MTIME: i64 = 315_532_801;

const NAME: usize = 100;
const PREFIX: usize = 155;
/// The largest numbers of 7 and 11 octal digits.
const OCTAL_7: i64 = 0o7_777_777;
const OCTAL_11: i64 = 0o77_777_777_777;
/// The most that a PAX header's records may take in the reference.
const MAX_RECORDS: usize = 1 << 20;
/// PAX keys that a header's own fields decide; extra records under them are dropped.
const OWN_KEYS: [&[u8]; 8] = [
    b"gid",
    b"gname",
    b"linkpath",
    b"mtime",
    b"path",
    b"size",
    b"uid",
    b"uname",
];

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A hard link to another entry.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

impl EntryKind {
    const fn flag(self) -> u8 {
        match self {
            Self::File => b'0',
            Self::HardLink => b'1',
            Self::Symlink => b'2',
            Self::CharDevice => b'3',
            Self::BlockDevice => b'4',
            Self::Directory => b'5',
            Self::Fifo => b'6',
        }
    }
}

/// One entry's header. Names are bytes, as the file system has them.
#[derive(Clone, Debug)]
pub struct Header<'a> {
    /// The entry's name; ours are absolute paths without a trailing slash.
    pub name: &'a [u8],
    /// The target of a link, else empty.
    pub link: &'a [u8],
    /// What the entry is.
    pub kind: EntryKind,
    /// Permission, setuid, setgid and sticky bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The size of the content in bytes.
    pub size: u64,
    /// The modification time in seconds since 1970; [`MTIME`] in the layers that we make.
    pub mtime: i64,
    /// A device's major and minor number, else zeros.
    pub device: (u32, u32),
    /// Further PAX records; a header with any is PAX.
    pub records: &'a [(Vec<u8>, Vec<u8>)],
}

impl<'a> Header<'a> {
    /// A header of our own layers: no content, constant time, no extra records.
    pub fn new(kind: EntryKind, name: &'a [u8], mode: u32, uid: u32, gid: u32) -> Self {
        Self {
            name,
            link: b"",
            kind,
            mode,
            uid,
            gid,
            size: 0,
            mtime: MTIME,
            device: (0, 0),
            records: &[],
        }
    }

    /// Appends the header's blocks to `out`: one, or with PAX records three and more.
    ///
    /// # Errors
    /// A name or target contains NUL, or a mode, device number or the records are too large for the format.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        if self.name.contains(&0) || self.link.contains(&0) {
            return Err(self.invalid("its name contains a NUL byte"));
        }
        if i64::from(self.mode.max(self.device.0).max(self.device.1)) > OCTAL_7 {
            return Err(self.invalid("its mode or device number is too large"));
        }
        let records = self.pax_records();
        if records.is_empty() {
            let (prefix, name) = split_name(self.name).unwrap_or((b"", self.name));
            let mut block = self.block(name, self.link);
            put_text(&mut block, PREFIX_AT, prefix);
            finish(block, out);
            return Ok(());
        }
        let mut body = Vec::new();
        for (key, value) in &records {
            record(&mut body, key, value);
        }
        if body.len() > MAX_RECORDS {
            return Err(self.invalid("its PAX records are too long"));
        }
        let mut block = [0; BLOCK];
        let pax_name = ascii(&pax_name(self.name));
        put_text(
            &mut block,
            NAME_AT,
            trim_slashes(pax_name.get(..NAME).unwrap_or(&pax_name)),
        );
        for (at, value) in [
            (MODE_AT, 0),
            (UID_AT, 0),
            (GID_AT, 0),
            (SIZE_AT, body.len() as u64),
            (MTIME_AT, 0),
        ] {
            put_octal(&mut block, at, value);
        }
        put(&mut block, TYPE_AT, b"x");
        finish(block, out);
        out.extend_from_slice(&body);
        out.resize(out.len() + padding(body.len() as u64), 0);
        finish(self.block(&ascii(self.name), &ascii(self.link)), out);
        Ok(())
    }

    /// The records without which the entry would lose something, by key.
    fn pax_records(&self) -> BTreeMap<&[u8], Vec<u8>> {
        let mut records = BTreeMap::new();
        if !self.name.is_empty()
            && (!self.name.is_ascii()
                || (self.name.len() > NAME && split_name(self.name).is_none()))
        {
            records.insert(&b"path"[..], self.name.to_vec());
        }
        if !self.link.is_ascii() || self.link.len() > NAME {
            records.insert(b"linkpath", self.link.to_vec());
        }
        let numbers: [(&[u8], i64, i64); 4] = [
            (b"uid", self.uid.into(), OCTAL_7),
            (b"gid", self.gid.into(), OCTAL_7),
            (
                b"size",
                i64::try_from(self.size).unwrap_or(i64::MAX),
                OCTAL_11,
            ),
            (b"mtime", self.mtime, OCTAL_11),
        ];
        for (key, value, max) in numbers {
            if !(0..=max).contains(&value) {
                records.insert(key, value.to_string().into_bytes());
            }
        }
        for (key, value) in self.records {
            if !OWN_KEYS.contains(&key.as_slice()) {
                records.insert(key, value.clone());
            }
        }
        // A PAX header has no prefix field, so that any other record forces this one.
        if !records.is_empty() && self.name.len() > NAME {
            records.insert(b"path", self.name.to_vec());
        }
        records
    }

    /// The header's own block, but for the checksum.
    fn block(&self, name: &[u8], link: &[u8]) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        put_text(&mut block, NAME_AT, name);
        put_text(&mut block, LINK_AT, link);
        put(&mut block, TYPE_AT, &[self.kind.flag()]);
        let numbers = [
            (MODE_AT, self.mode.into()),
            (UID_AT, self.uid.into()),
            (GID_AT, self.gid.into()),
            (SIZE_AT, self.size),
            (MTIME_AT, u64::try_from(self.mtime).unwrap_or(0)),
            (MAJOR_AT, self.device.0.into()),
            (MINOR_AT, self.device.1.into()),
        ];
        for (at, value) in numbers {
            put_octal(&mut block, at, value);
        }
        block
    }

    fn invalid(&self, why: &str) -> Error {
        let name = Path::new(std::ffi::OsStr::from_bytes(self.name)).display();
        Error::new(
            ErrorKind::Other,
            format!("'{name}' cannot be in a layer: {why}"),
        )
    }
}

/// The bytes that pad `size` to a multiple of [`BLOCK`].
pub const fn padding(size: u64) -> usize {
    (size.wrapping_neg() % BLOCK as u64) as usize
}

type Field = Range<usize>;
const NAME_AT: Field = 0..100;
const MODE_AT: Field = 100..108;
const UID_AT: Field = 108..116;
const GID_AT: Field = 116..124;
const SIZE_AT: Field = 124..136;
const MTIME_AT: Field = 136..148;
const CHECKSUM_AT: Field = 148..156;
const TYPE_AT: Field = 156..157;
const LINK_AT: Field = 157..257;
const MAGIC_AT: Field = 257..265;
const MAJOR_AT: Field = 329..337;
const MINOR_AT: Field = 337..345;
const PREFIX_AT: Field = 345..500;

/// Writes as much of `bytes` as the field holds.
fn put(block: &mut [u8; BLOCK], at: Field, bytes: &[u8]) {
    block[at]
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = *from);
}

/// Writes text that is cut at the field's end. A cut after slashes gets a NUL before them: some readers take a file whose name ends
/// in a slash for a directory.
fn put_text(block: &mut [u8; BLOCK], at: Field, text: &[u8]) {
    put(block, at.clone(), text);
    if let Some(kept @ [.., b'/']) = text.get(..at.len()).filter(|kept| kept.len() < text.len()) {
        let end = at.start + trim_slashes(kept).len();
        put(block, end..at.end, &[0]);
    }
}

/// Writes zero-padded octal digits and a NUL; zero for what does not fit, which a PAX record then holds.
fn put_octal(block: &mut [u8; BLOCK], at: Field, value: u64) {
    let digits = at.len() - 1;
    let mut rest = if value >> (3 * digits) == 0 { value } else { 0 };
    put(block, at.start + digits..at.end, &[0]);
    for byte in block[at].iter_mut().take(digits).rev() {
        *byte = b'0' + (rest & 7) as u8;
        rest >>= 3;
    }
}

/// Marks the block as USTAR (PAX is an extension of it), adds the checksum and appends it.
fn finish(mut block: [u8; BLOCK], out: &mut Vec<u8>) {
    put(&mut block, MAGIC_AT, b"ustar\x0000");
    put(&mut block, CHECKSUM_AT, b"        ");
    let sum = block.iter().map(|&byte| u64::from(byte)).sum();
    put_octal(&mut block, CHECKSUM_AT.start..CHECKSUM_AT.end - 1, sum);
    out.extend_from_slice(&block);
}

/// Splits a name into USTAR's prefix and name fields.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= NAME || !name.is_ascii() {
        return None;
    }
    let searched = if name.len() > PREFIX + 1 {
        &name[..=PREFIX]
    } else {
        name.strip_suffix(b"/").unwrap_or(name)
    };
    let slash = searched.iter().rposition(|&byte| byte == b'/')?;
    let (prefix, rest) = (&name[..slash], &name[slash + 1..]);
    (!prefix.is_empty() && (1..=NAME).contains(&rest.len())).then_some((prefix, rest))
}

/// The name of the PAX header of `name`: `PaxHeaders.0` between its directory and its last part, lexically cleaned.
fn pax_name(name: &[u8]) -> Vec<u8> {
    let split = name
        .iter()
        .rposition(|&byte| byte == b'/')
        .map_or(0, |slash| slash + 1);
    let (directory, file) = name.split_at(split);
    clean(&[directory, b"/PaxHeaders.0/", file].concat()[usize::from(directory.is_empty())..])
}

/// `LENGTH key=value\n`, where the length counts itself.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + digits(rest);
    length = rest + digits(length);
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn ascii(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(u8::is_ascii).collect()
}

fn trim_slashes(mut text: &[u8]) -> &[u8] {
    while let Some(shorter) = text.strip_suffix(b"/") {
        text = shorter;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use serde_json::Value;
    use std::io::Read;

    fn base64(text: &str) -> Vec<u8> {
        let digit = |byte: u8| {
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
                .iter()
                .position(|&d| d == byte)
        };
        let bits: Vec<usize> = text.bytes().filter_map(digit).collect();
        bits.chunks(4)
            .flat_map(|four| {
                let all = (0..4).fold(0, |all, i| all << 6 | four.get(i).unwrap_or(&0));
                [(all >> 16) as u8, (all >> 8) as u8, all as u8]
                    .into_iter()
                    .take(four.len() - 1)
            })
            .collect()
    }

    fn check(vector: &Value) {
        let field = |key: &str| vector[key].as_str().unwrap().as_bytes();
        let number = |key: &str| vector[key].as_u64().unwrap();
        let kind = match vector["type"].as_str().unwrap() {
            "0" => EntryKind::File,
            "1" => EntryKind::HardLink,
            "2" => EntryKind::Symlink,
            "3" => EntryKind::CharDevice,
            "4" => EntryKind::BlockDevice,
            "5" => EntryKind::Directory,
            _ => EntryKind::Fifo,
        };
        let records: Vec<_> = vector["pax"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(k, v)| {
                (
                    k.clone().into_bytes(),
                    v.as_str().unwrap().as_bytes().to_vec(),
                )
            })
            .collect();
        let header = Header {
            link: field("linkname"),
            size: number("size"),
            mtime: vector["mtime"].as_i64().unwrap(),
            device: (number("devmajor") as u32, number("devminor") as u32),
            records: &records,
            ..Header::new(
                kind,
                field("name"),
                number("mode") as u32,
                number("uid") as u32,
                number("gid") as u32,
            )
        };
        let mut tar = Vec::new();
        header.encode(&mut tar).unwrap();
        let mut expected = Vec::new();
        GzDecoder::new(&base64(vector["gzip_base64"].as_str().unwrap())[..])
            .read_to_end(&mut expected)
            .unwrap();
        // The vectors of huge files hold their headers only.
        if expected.len() > tar.len() {
            let size = header.size as usize;
            tar.resize(tar.len() + size, b'x');
            tar.resize(tar.len() + padding(header.size) + TRAILER, 0);
        }
        assert!(tar == expected, "{vector}");
    }

    #[test]
    fn every_vector() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../spec-tests/vectors/tar-headers.jsonl"
        );
        let vectors = std::fs::read_to_string(path).unwrap();
        assert_eq!(vectors.lines().count(), 451);
        vectors
            .lines()
            .for_each(|line| check(&serde_json::from_str(line).unwrap()));
    }

    #[test]
    fn nul_is_refused() {
        let error = Header::new(EntryKind::File, b"/a\0b", 0o644, 0, 0)
            .encode(&mut Vec::new())
            .unwrap_err();
        assert!(error.to_string().contains("NUL"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn other_readers_agree(name in "(/[a-zé日./ ]{1,90}){1,5}[a-z]", link in "[a-zé/]{1,150}", uid: u32, gid: u32, mode in 0..0o10000_u32) {
            let header = Header { link: link.as_bytes(), ..Header::new(EntryKind::Symlink, name.as_bytes(), mode, uid, gid) };
            let mut tar = Vec::new();
            header.encode(&mut tar).unwrap();
            tar.resize(tar.len() + TRAILER, 0);
            let mut archive = tar::Archive::new(&tar[..]);
            let entry = archive.entries().unwrap().next().unwrap().unwrap();
            assert_eq!(&*entry.path_bytes(), name.as_bytes());
            assert_eq!(&*entry.link_name_bytes().unwrap(), link.as_bytes());
            assert_eq!((entry.header().mode().unwrap(), entry.header().mtime().unwrap()), (mode, MTIME as u64));
            assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (uid.into(), gid.into()));
        }
    }
}
