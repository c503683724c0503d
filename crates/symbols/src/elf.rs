//! An ELF file as far as names need it: its build-id, its sections, its links to debug files.
//!
//! Files are read, never mapped: a file that is truncated while it is mapped ends the server (SIGBUS). What a header claims
//! is checked against the size of the file and the caller's cap before a byte of it is asked for. 64-bit little-endian only,
//! like the recorder. Called by `search`, `symbol_table` and `debug_info`.
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::bytes::{u16_at, u32_at, u64_at};

const SHT_NOTE: u32 = 7;
const SHT_NOBITS: u32 = 8;
pub(crate) const SHT_SYMTAB: u32 = 2;
pub(crate) const SHT_DYNSYM: u32 = 11;
const SHF_COMPRESSED: u64 = 0x800;
const SHF_EXECINSTR: u64 = 4;
const SHN_XINDEX: u16 = 0xffff;
const COMPRESS_ZLIB: u32 = 1;
const COMPRESS_ZSTD: u32 = 2;
const NT_GNU_BUILD_ID: u32 = 3;
const PT_NOTE: u32 = 4;

/// Headers beyond these are no program's that is loaded.
const SECTIONS: usize = 1 << 16;
const PROGRAM_HEADERS: usize = 1 << 12;
const NAMES_BYTES: u64 = 8 << 20;
const NOTES_BYTES: u64 = 1 << 16;
const LINK_BYTES: u64 = 1 << 13;

/// Which file it is, so that another one of the same name is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    pub device: u64,
    pub inode: u64,
    pub bytes: u64,
    pub modified: (i64, i64),
}

#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub name: String,
    pub kind: u32,
    flags: u64,
    pub address: u64,
    offset: u64,
    /// In the file; compressed ones are longer in memory.
    pub bytes: u64,
    pub link: usize,
}

impl Section {
    pub(crate) fn has_data(&self) -> bool {
        self.kind != SHT_NOBITS && self.bytes > 0
    }

    pub(crate) fn is_code(&self) -> bool {
        self.flags & SHF_EXECINSTR != 0
    }
}

pub(crate) struct Elf {
    file: File,
    pub id: FileId,
    pub sections: Vec<Section>,
    /// Empty if it has none.
    pub build_id: Vec<u8>,
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Opens a regular file and nothing else: no FIFO is waited for, no device is touched.
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, FileId)> {
    let describe = |kind: std::fs::FileType| match kind {
        k if k.is_dir() => "it is a directory",
        k if k.is_fifo() => "it is a FIFO",
        k if k.is_socket() => "it is a socket",
        _ => "it is not a regular file",
    };
    let before = std::fs::metadata(path)?;
    if !before.is_file() {
        return Err(invalid(describe(before.file_type())));
    }
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let now = file.metadata()?;
    if !now.is_file() {
        return Err(invalid(describe(now.file_type())));
    }
    let modified = (now.mtime(), now.mtime_nsec());
    Ok((file, FileId { device: now.dev(), inode: now.ino(), bytes: now.len(), modified }))
}

impl Elf {
    pub(crate) fn open(path: &Path) -> io::Result<Elf> {
        let (file, id) = open_regular(path)?;
        let mut elf = Elf { file, id, sections: Vec::new(), build_id: Vec::new() };
        if id.bytes == 0 {
            return Err(invalid("it is empty"));
        }
        let header = elf.read(0, 64, 64).map_err(|_| invalid("it is not an ELF file"))?;
        if header[..4] != *b"\x7fELF" {
            return Err(invalid("it is not an ELF file"));
        }
        if header[4] != 2 || header[5] != 1 {
            return Err(invalid("it is not a 64-bit little-endian ELF file"));
        }
        elf.sections = elf.read_sections(&header)?;
        elf.build_id = elf.read_build_id(&header);
        Ok(elf)
    }

    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name && s.has_data())
    }

    /// The section's bytes, decompressed; an error if they are more than `cap`, before any memory is taken.
    pub(crate) fn data(&self, section: &Section, cap: u64) -> io::Result<Vec<u8>> {
        if !section.has_data() {
            return Ok(Vec::new());
        }
        if section.flags & SHF_COMPRESSED == 0 {
            return self.read(section.offset, section.bytes, cap);
        }
        let raw = self.read(section.offset, section.bytes, cap)?;
        let (Some(kind), Some(bytes)) = (u32_at(&raw, 0), u64_at(&raw, 8)) else {
            return Err(invalid("a compressed section is cut short"));
        };
        if bytes > cap {
            return Err(invalid("a compressed section is too large"));
        }
        let packed = raw.get(24..).unwrap_or_default();
        let mut data = Vec::new();
        match kind {
            COMPRESS_ZLIB => flate2::read::ZlibDecoder::new(packed).take(bytes).read_to_end(&mut data)?,
            COMPRESS_ZSTD => zstd::stream::read::Decoder::new(packed)?.take(bytes).read_to_end(&mut data)?,
            _ => return Err(invalid("a section is compressed in an unknown way")),
        };
        Ok(data)
    }

    /// What `data` would give, in bytes, without reading it.
    pub(crate) fn data_bytes(&self, section: &Section) -> u64 {
        if section.flags & SHF_COMPRESSED == 0 {
            return section.bytes;
        }
        self.read(section.offset, 24, 24).ok().and_then(|header| u64_at(&header, 8)).unwrap_or(0)
    }

    /// `.gnu_debuglink`: the name of the file that has the debug info, and its CRC.
    pub(crate) fn debug_link(&self) -> Option<(String, u32)> {
        let data = self.data(self.section(".gnu_debuglink")?, LINK_BYTES).ok()?;
        let end = data.iter().position(|b| *b == 0)?;
        let name = String::from_utf8(data[..end].to_vec()).ok()?;
        let crc = u32_at(&data, (end + 4) & !3)?;
        // A name, not a path: where it is looked for is not the file's to say.
        (!name.is_empty() && !name.contains('/')).then_some((name, crc))
    }

    /// `.gnu_debugaltlink`: the path and build-id of the file with what several debug files share (dwz).
    pub(crate) fn alternate_link(&self) -> Option<(String, Vec<u8>)> {
        let data = self.data(self.section(".gnu_debugaltlink")?, LINK_BYTES).ok()?;
        let end = data.iter().position(|b| *b == 0)?;
        let build_id = data[end + 1..].to_vec();
        (!build_id.is_empty()).then_some((String::from_utf8(data[..end].to_vec()).ok()?, build_id))
    }

    fn read(&self, offset: u64, bytes: u64, cap: u64) -> io::Result<Vec<u8>> {
        if offset.checked_add(bytes).is_none_or(|end| end > self.id.bytes) {
            return Err(invalid("it is cut short"));
        }
        if bytes > cap {
            return Err(invalid("a section is too large"));
        }
        let mut data = vec![0; bytes as usize];
        self.file.read_exact_at(&mut data, offset)?;
        Ok(data)
    }

    fn read_sections(&self, header: &[u8]) -> io::Result<Vec<Section>> {
        let field = |at| u16_at(header, at).unwrap_or(0);
        let (start, entry) = (u64_at(header, 0x28).unwrap_or(0), usize::from(field(0x3a)));
        if start == 0 {
            return Ok(Vec::new());
        }
        if entry < 64 {
            return Err(invalid("its section headers are malformed"));
        }
        let (mut count, mut names) = (usize::from(field(0x3c)), usize::from(field(0x3e)));
        // More sections than the header can say: section 0 says how many.
        if count == 0 || names == usize::from(SHN_XINDEX) {
            let first = self.read(start, 64, 64)?;
            count = if count == 0 { u64_at(&first, 32).unwrap_or(0) as usize } else { count };
            names = if names == usize::from(SHN_XINDEX) { u32_at(&first, 40).unwrap_or(0) as usize } else { names };
        }
        let table = self.read(start, (count as u64).saturating_mul(entry as u64), (SECTIONS * 64) as u64)?;
        let mut sections: Vec<(u32, Section)> = table.chunks_exact(entry).filter_map(section).collect();
        let name_data = match sections.get(names) {
            Some((_, s)) if s.has_data() => self.read(s.offset, s.bytes, NAMES_BYTES)?,
            _ => Vec::new(),
        };
        for (name, section) in &mut sections {
            let rest = name_data.get(*name as usize..).unwrap_or_default();
            let end = rest.iter().take(64).position(|b| *b == 0).unwrap_or(0);
            section.name = String::from_utf8_lossy(&rest[..end]).into_owned();
        }
        Ok(sections.into_iter().map(|(_, section)| section).collect())
    }

    /// From the notes of the sections, or of the segments where the section headers are gone.
    fn read_build_id(&self, header: &[u8]) -> Vec<u8> {
        let in_sections = self.sections.iter().filter(|s| s.kind == SHT_NOTE).map(|s| (s.offset, s.bytes));
        let found = in_sections.into_iter().find_map(|(offset, bytes)| self.build_id_in(offset, bytes));
        found.or_else(|| self.build_id_of_segments(header)).unwrap_or_default()
    }

    fn build_id_of_segments(&self, header: &[u8]) -> Option<Vec<u8>> {
        let (start, entry, count) = (u64_at(header, 0x20)?, u16_at(header, 0x36)?, u16_at(header, 0x38)?);
        if entry < 56 {
            return None;
        }
        let table = self.read(start, u64::from(entry) * u64::from(count), (PROGRAM_HEADERS * 56) as u64).ok()?;
        table
            .chunks_exact(usize::from(entry))
            .filter(|segment| u32_at(segment, 0) == Some(PT_NOTE))
            .find_map(|segment| self.build_id_in(u64_at(segment, 8)?, u64_at(segment, 32)?))
    }

    fn build_id_in(&self, offset: u64, bytes: u64) -> Option<Vec<u8>> {
        let notes = self.read(offset, bytes, NOTES_BYTES).ok()?;
        let mut rest = notes.as_slice();
        while let (Some(name), Some(value), Some(kind)) = (u32_at(rest, 0), u32_at(rest, 4), u32_at(rest, 8)) {
            let padded = |bytes: u32| (bytes as usize).checked_next_multiple_of(4);
            let value_at = padded(name)?.checked_add(12)?;
            let id = rest.get(value_at..value_at.checked_add(value as usize)?)?;
            if kind == NT_GNU_BUILD_ID && rest.get(12..16) == Some(b"GNU\0") && !id.is_empty() {
                return Some(id.to_vec());
            }
            rest = rest.get(value_at.checked_add(padded(value)?)?..)?;
        }
        None
    }
}

fn section(header: &[u8]) -> Option<(u32, Section)> {
    let section = Section {
        name: String::new(),
        kind: u32_at(header, 4)?,
        flags: u64_at(header, 8)?,
        address: u64_at(header, 16)?,
        offset: u64_at(header, 24)?,
        bytes: u64_at(header, 32)?,
        link: u32_at(header, 40)? as usize,
    };
    Some((u32_at(header, 0)?, section))
}
