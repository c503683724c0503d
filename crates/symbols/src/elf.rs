//! One ELF file, read in pieces: its sections, its build-id, its links to debug files, its program headers.
//!
//! This is the reader wing's only ELF reader: names (`search`, `symbol_table`, `debug_info`) and the questions about a
//! program (`program`) go through it. The layouts are `object`'s. The bytes are read here and never mapped, because a
//! mapped file that is truncated ends the server (SIGBUS). A size that a header claims is checked against the file and the
//! caller's cap before any memory is taken. Only 64-bit little-endian files are read, as only those are recorded.
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use object::LittleEndian as LE;
use object::elf::{
    CompressionHeader64, ELFCOMPRESS_ZLIB, ELFCOMPRESS_ZSTD, FileHeader64, NT_GNU_BUILD_ID, PT_NOTE, ProgramHeader64,
    SHF_COMPRESSED, SHF_EXECINSTR, SHN_XINDEX, SHT_NOBITS, SHT_NOTE, SectionHeader64, SectionType,
};
use object::pod::{Pod, from_bytes, slice_from_bytes};
use object::read::elf::NoteIterator;

type Header = FileHeader64<LE>;
type SectionHeader = SectionHeader64<LE>;
pub(crate) type ProgramHeader = ProgramHeader64<LE>;

const HEADER_BYTES: u64 = size_of::<Header>() as u64;
const SECTION_HEADER_BYTES: u64 = size_of::<SectionHeader>() as u64;
const PROGRAM_HEADER_BYTES: u64 = size_of::<ProgramHeader>() as u64;
const COMPRESSION_HEADER_BYTES: usize = size_of::<CompressionHeader64<LE>>();

/// No program that is loaded has more section headers.
const SECTIONS: u64 = 1 << 16;
/// No program that is loaded has more program headers.
const PROGRAM_HEADERS: u64 = 1 << 12;
const NAMES_BYTES: u64 = 8 << 20;
const NOTES_BYTES: u64 = 1 << 16;
const LINK_BYTES: u64 = 1 << 13;

/// The identity of a file, by which another one of the same name is noticed.
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
    pub kind: SectionType,
    is_compressed: bool,
    is_code: bool,
    pub address: u64,
    offset: u64,
    /// Size in the file. A compressed section is longer in memory.
    pub bytes: u64,
    pub link: usize,
    alignment: u64,
}

impl Section {
    pub(crate) fn has_data(&self) -> bool {
        self.kind != SHT_NOBITS && self.bytes > 0
    }

    pub(crate) fn is_code(&self) -> bool {
        self.is_code
    }
}

/// A file whose ELF header is known. Its sections may be damaged.
pub(crate) struct Image {
    file: File,
    pub id: FileId,
    header: Header,
}

/// An [`Image`] with its sections.
pub(crate) struct Elf {
    image: Image,
    pub sections: Vec<Section>,
    /// Empty if the file has none.
    pub build_id: Vec<u8>,
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// The first bytes as a structure of the format.
fn pod<T: Pod>(bytes: &[u8]) -> Option<T> {
    from_bytes(bytes).ok().map(|(found, _)| *found)
}

/// The bytes as an array of structures of the format. An incomplete one at the end is left out.
pub(crate) fn pods<T: Pod>(bytes: &[u8]) -> &[T] {
    slice_from_bytes(bytes, bytes.len() / size_of::<T>()).map_or(&[], |(all, _)| all)
}

/// The text at a place of a string table, up to its zero byte or the end of the table.
pub(crate) fn text_at(table: &[u8], at: u32) -> &[u8] {
    let rest = table.get(at as usize..).unwrap_or_default();
    &rest[..rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len())]
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

impl Image {
    /// An error of kind `Unsupported` means an ELF file of another word size or byte order.
    pub(crate) fn open(path: &Path) -> io::Result<Image> {
        let (file, id) = open_regular(path)?;
        if id.bytes == 0 {
            return Err(invalid("it is empty"));
        }
        let bytes = read(&file, id.bytes, 0, HEADER_BYTES, HEADER_BYTES);
        let bytes = bytes.map_err(|_| invalid("it is not an ELF file"))?;
        if !bytes.starts_with(b"\x7fELF") {
            return Err(invalid("it is not an ELF file"));
        }
        if bytes[4..6] != [2, 1] {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "it is not a 64-bit little-endian ELF file"));
        }
        let header = pod(&bytes).ok_or_else(|| invalid("it is not an ELF file"))?;
        Ok(Image { file, id, header })
    }

    pub(crate) fn machine(&self) -> object::elf::Machine {
        self.header.e_machine.get(LE)
    }

    /// The program headers. `None` if the file is damaged.
    pub(crate) fn program_headers(&self) -> Option<Vec<ProgramHeader>> {
        if u64::from(self.header.e_phentsize.get(LE)) != PROGRAM_HEADER_BYTES {
            return None;
        }
        let bytes = u64::from(self.header.e_phnum.get(LE)) * PROGRAM_HEADER_BYTES;
        let table = self.read(self.header.e_phoff.get(LE), bytes, PROGRAM_HEADERS * PROGRAM_HEADER_BYTES);
        Some(pods(&table.ok()?).to_vec())
    }

    /// Bytes of the file; an error if they are more than `cap`, or more than there are, before any memory is taken.
    pub(crate) fn read(&self, offset: u64, bytes: u64, cap: u64) -> io::Result<Vec<u8>> {
        read(&self.file, self.id.bytes, offset, bytes, cap)
    }

    fn section_header(&self, start: u64) -> io::Result<SectionHeader> {
        let bytes = self.read(start, SECTION_HEADER_BYTES, SECTION_HEADER_BYTES)?;
        pod(&bytes).ok_or_else(|| invalid("its section headers are malformed"))
    }

    fn sections(&self) -> io::Result<Vec<Section>> {
        let start = self.header.e_shoff.get(LE);
        if start == 0 {
            return Ok(Vec::new());
        }
        if u64::from(self.header.e_shentsize.get(LE)) != SECTION_HEADER_BYTES {
            return Err(invalid("its section headers are malformed"));
        }
        let (mut count, mut names) =
            (u64::from(self.header.e_shnum.get(LE)), u32::from(self.header.e_shstrndx.get(LE).0));
        // If the header's fields are too small for the numbers, section 0 has them.
        let is_extended = names == u32::from(SHN_XINDEX.0);
        if count == 0 || is_extended {
            let first = self.section_header(start)?;
            count = if count == 0 { first.sh_size.get(LE) } else { count };
            names = if is_extended { first.sh_link.get(LE) } else { names };
        }
        let table = count.saturating_mul(SECTION_HEADER_BYTES);
        let table = self.read(start, table, SECTIONS * SECTION_HEADER_BYTES)?;
        let headers: &[SectionHeader] = pods(&table);
        let mut sections: Vec<Section> = headers.iter().map(section).collect();
        let name_bytes = match sections.get(names as usize) {
            Some(section) if section.has_data() => self.read(section.offset, section.bytes, NAMES_BYTES)?,
            _ => Vec::new(),
        };
        for (section, header) in sections.iter_mut().zip(headers) {
            let name = text_at(&name_bytes, header.sh_name.get(LE));
            // A longer name is no name that is looked for.
            section.name = String::from_utf8_lossy(if name.len() < 64 { name } else { b"" }).into_owned();
        }
        Ok(sections)
    }

    fn build_id_in(&self, offset: u64, bytes: u64, alignment: u64) -> Option<Vec<u8>> {
        let notes = self.read(offset, bytes, NOTES_BYTES).ok()?;
        let mut notes = NoteIterator::<Header>::new(LE, alignment, &notes).ok()?;
        while let Some(note) = notes.next().ok()? {
            if note.name() == b"GNU" && note.n_type(LE) == NT_GNU_BUILD_ID && !note.desc().is_empty() {
                return Some(note.desc().to_vec());
            }
        }
        None
    }
}

/// As [`Image::read`], of a file of `size` bytes.
fn read(file: &File, size: u64, offset: u64, bytes: u64, cap: u64) -> io::Result<Vec<u8>> {
    if offset.checked_add(bytes).is_none_or(|end| end > size) {
        return Err(invalid("it is cut short"));
    }
    if bytes > cap {
        return Err(invalid("a section is too large"));
    }
    let mut data = vec![0; bytes as usize];
    file.read_exact_at(&mut data, offset)?;
    Ok(data)
}

impl Elf {
    pub(crate) fn open(path: &Path) -> io::Result<Elf> {
        let image = Image::open(path)?;
        let sections = image.sections()?;
        let in_sections = sections.iter().filter(|section| section.kind == SHT_NOTE);
        let in_sections = in_sections.map(|section| (section.offset, section.bytes, section.alignment));
        // Segments have the note too, and stay where the section headers are gone.
        let segments = image.program_headers().unwrap_or_default();
        let in_segments = segments.iter().filter(|segment| segment.p_type.get(LE) == PT_NOTE);
        let in_segments =
            in_segments.map(|segment| (segment.p_offset.get(LE), segment.p_filesz.get(LE), segment.p_align.get(LE)));
        let build_id = in_sections
            .chain(in_segments)
            .find_map(|(offset, bytes, alignment)| image.build_id_in(offset, bytes, alignment))
            .unwrap_or_default();
        Ok(Elf { image, sections, build_id })
    }

    pub(crate) fn id(&self) -> FileId {
        self.image.id
    }

    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name && s.has_data())
    }

    /// The section's bytes, decompressed; an error if they are more than `cap`, before any memory is taken.
    pub(crate) fn data(&self, section: &Section, cap: u64) -> io::Result<Vec<u8>> {
        if !section.has_data() {
            return Ok(Vec::new());
        }
        let raw = self.image.read(section.offset, section.bytes, cap)?;
        if !section.is_compressed {
            return Ok(raw);
        }
        let header: Option<CompressionHeader64<LE>> = pod(&raw);
        let Some(header) = header else {
            return Err(invalid("a compressed section is cut short"));
        };
        let bytes = header.ch_size.get(LE);
        if bytes > cap {
            return Err(invalid("a compressed section is too large"));
        }
        let packed = &raw[COMPRESSION_HEADER_BYTES..];
        let mut data = Vec::new();
        match header.ch_type.get(LE) {
            ELFCOMPRESS_ZLIB => flate2::read::ZlibDecoder::new(packed).take(bytes).read_to_end(&mut data)?,
            ELFCOMPRESS_ZSTD => zstd::stream::read::Decoder::new(packed)?.take(bytes).read_to_end(&mut data)?,
            _ => return Err(invalid("a section is compressed in an unknown way")),
        };
        Ok(data)
    }

    /// How many bytes `data` would give, without reading them.
    pub(crate) fn data_bytes(&self, section: &Section) -> u64 {
        if !section.is_compressed {
            return section.bytes;
        }
        let bytes = COMPRESSION_HEADER_BYTES as u64;
        let raw = self.image.read(section.offset, bytes, bytes).unwrap_or_default();
        pod::<CompressionHeader64<LE>>(&raw).map_or(0, |header| header.ch_size.get(LE))
    }

    /// The name in `.gnu_debuglink` of the file that has the debug info, and that file's CRC.
    pub(crate) fn debug_link(&self) -> Option<(String, u32)> {
        let data = self.data(self.section(".gnu_debuglink")?, LINK_BYTES).ok()?;
        let end = data.iter().position(|b| *b == 0)?;
        let name = String::from_utf8(data[..end].to_vec()).ok()?;
        let crc = u32::from_le_bytes(*data.get((end + 4) & !3..)?.first_chunk()?);
        // A name and no path, because the file has no say in where it is looked for.
        (!name.is_empty() && !name.contains('/')).then_some((name, crc))
    }

    /// The path and build-id in `.gnu_debugaltlink` of the file with what several debug files share (dwz).
    pub(crate) fn alternate_link(&self) -> Option<(String, Vec<u8>)> {
        let data = self.data(self.section(".gnu_debugaltlink")?, LINK_BYTES).ok()?;
        let end = data.iter().position(|b| *b == 0)?;
        let build_id = data[end + 1..].to_vec();
        (!build_id.is_empty()).then_some((String::from_utf8(data[..end].to_vec()).ok()?, build_id))
    }
}

fn section(header: &SectionHeader) -> Section {
    let flags = header.sh_flags.get(LE);
    Section {
        name: String::new(),
        kind: header.sh_type.get(LE),
        is_compressed: flags.contains(SHF_COMPRESSED),
        is_code: flags.contains(SHF_EXECINSTR),
        address: header.sh_addr.get(LE),
        offset: header.sh_offset.get(LE),
        bytes: header.sh_size.get(LE),
        link: header.sh_link.get(LE) as usize,
        alignment: header.sh_addralign.get(LE),
    }
}
