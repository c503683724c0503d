//! Which loaded ELF file an address is in, and what its program headers say.
//!
//! Found with glibc's `_dl_find_object` (2.35 and later), which takes no lock and is async-signal-safe. Elsewhere, with
//! a table made when [`modules_changed`] was last called (`module_table.rs`), because `dl_iterate_phdr` takes a lock.
//! A module's memory is read only inside its own mapping, and only while the caller runs code of it or knows it loaded.

use core::ffi::{c_char, c_int, c_void};
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use libc::{Elf64_Ehdr, Elf64_Phdr, PF_R, PF_X, PT_LOAD, PT_NOTE};

use crate::page::page_bytes;
use crate::{module_table, rule_cache, symbol};

/// A loaded ELF file: the executable, a shared library, the dynamic loader or the vDSO.
#[derive(Clone, Copy, Debug)]
pub struct LoadedModule {
    /// The first address of its first segment, rounded down to a page.
    pub start: usize,
    /// The address after its last segment. There may be gaps that are not its own.
    pub end: usize,
    /// The difference between an address in memory and the same address in the file.
    pub load_bias: usize,
    /// Its path as the dynamic loader has it; empty for the executable. Null if it is not known. Valid until `dlclose`.
    pub name: *const c_char,
    /// The address of `.eh_frame_hdr`, 0 if there is none.
    pub(crate) eh_frame_hdr: usize,
    pub(crate) headers: Headers,
}

/// Where a module's program headers are in memory, and how many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Headers {
    pub(crate) address: usize,
    pub(crate) count: usize,
}

/// `struct dl_find_object`, of x86_64 and aarch64 alike.
#[repr(C)]
struct DlFindObject {
    flags: u64,
    map_start: *mut c_void,
    map_end: *mut c_void,
    link_map: *const LinkMap,
    eh_frame: *mut c_void,
    reserved: [u64; 7],
}

/// The public beginning of `struct link_map`.
#[repr(C)]
struct LinkMap {
    load_bias: usize,
    name: *const c_char,
}

type FindObject = unsafe extern "C" fn(*mut c_void, *mut DlFindObject) -> c_int;

/// The address of `_dl_find_object`; 0 as long as nobody has looked for it, [`ABSENT`] if there is none.
static FIND_OBJECT: AtomicUsize = AtomicUsize::new(0);
const ABSENT: usize = 1;

fn find_object() -> Option<FindObject> {
    let address = match FIND_OBJECT.load(Relaxed) {
        0 => look_for_find_object(),
        address => address,
    };
    if address == ABSENT {
        return None;
    }
    // SAFETY: the address of glibc's function, whose type this is (<dlfcn.h>); 0 would be None.
    unsafe { core::mem::transmute::<usize, Option<FindObject>>(address) }
}

#[cold]
fn look_for_find_object() -> usize {
    let address = symbol::in_libc(c"_dl_find_object").max(ABSENT);
    FIND_OBJECT.store(address, Relaxed);
    address
}

/// The module one of whose segments holds `pc`.
pub fn module_of(pc: usize) -> Option<LoadedModule> {
    let Some(find_object) = find_object() else {
        return module_table::module_of(pc);
    };
    let object = find(find_object, pc)?;
    // SAFETY: the loader's record of the module that was just found.
    let link_map = unsafe { object.link_map.as_ref() };
    let module = LoadedModule {
        start: object.map_start.expose_provenance(),
        end: object.map_end.expose_provenance(),
        load_bias: link_map.map_or(0, |map| map.load_bias),
        name: link_map.map_or(core::ptr::null(), |map| map.name),
        eh_frame_hdr: object.eh_frame.expose_provenance(),
        headers: Headers::NONE,
    };
    Some(match headers_of(&object, &module, find_object) {
        // The loader names the segment only, not the module, if the module has gaps.
        Some(headers) => LoadedModule { headers, ..module }.spanned(),
        None => module,
    })
}

fn find(find_object: FindObject, address: usize) -> Option<DlFindObject> {
    // SAFETY: all fields may be zero.
    let mut found: DlFindObject = unsafe { core::mem::zeroed() };
    // SAFETY: any address may be asked for; the result is ours.
    let result = unsafe { find_object(core::ptr::without_provenance_mut(address), &raw mut found) };
    (result == 0).then_some(found)
}

/// The program headers of a module, of which `object` is the segment or the whole: after the ELF header at its start,
/// or, for the executable, where the kernel says. Only if they describe that very segment. Tools that rewrite libraries
/// (BOLT, patchelf) may put them elsewhere: then there are none.
fn headers_of(object: &DlFindObject, module: &LoadedModule, find_object: FindObject) -> Option<Headers> {
    let describes = |headers: &Headers| {
        let loaded = |header: Elf64_Phdr| header.p_type == PT_LOAD && module.in_memory(&header).contains(&module.start);
        headers.iter().any(loaded)
    };
    let at_start = Headers::after_elf_header(module.start, module.end);
    let at_bias = || {
        let first = find(find_object, module.load_bias).filter(|first| first.link_map == object.link_map)?;
        Headers::after_elf_header(first.map_start.expose_provenance(), first.map_end.expose_provenance())
    };
    // Every module's first segment may look like the executable's.
    let is_executable = |headers: &Headers| {
        find(find_object, headers.address).is_some_and(|executable| executable.link_map == object.link_map)
    };
    let executables = || executables_headers().filter(is_executable);
    at_start.filter(describes).or_else(|| executables().filter(describes)).or_else(at_bias).filter(describes)
}

fn executables_headers() -> Option<Headers> {
    // SAFETY: getauxval reads what the kernel passed to the process.
    let [address, count] = [libc::AT_PHDR, libc::AT_PHNUM].map(|kind| unsafe { libc::getauxval(kind) } as usize);
    (address != 0).then_some(Headers { address, count })
}

/// To be called after each `dlclose`: rules that were found for addresses of a module that is gone no longer count.
///
/// For a C library without `_dl_find_object` (glibc before 2.35) also once before the first capture and after each
/// `dlopen`, and not from a signal handler: there it copies the list of modules, for which it waits for the dynamic
/// loader's lock.
pub fn modules_changed() {
    rule_cache::forget_all();
    if find_object().is_none() {
        module_table::refresh();
    }
}

impl Headers {
    pub(crate) const NONE: Headers = Headers { address: 0, count: 0 };

    /// The headers that the ELF header at `start` tells of, if the segment's first page holds them all.
    fn after_elf_header(start: usize, end: usize) -> Option<Headers> {
        if end.checked_sub(start)? < page_bytes() {
            return None;
        }
        let file = core::ptr::with_exposed_provenance::<Elf64_Ehdr>(start);
        // SAFETY: the first page of a segment that the loader knows, which is larger than the header. Segments that
        // cannot be read are not known to any linker.
        let file = unsafe { file.read_unaligned() };
        let is_elf = file.e_ident.starts_with(b"\x7fELF") && usize::from(file.e_phentsize) == size_of::<Elf64_Phdr>();
        let offset = usize::try_from(file.e_phoff).ok().filter(|_| is_elf)?;
        let count = usize::from(file.e_phnum);
        let end = offset.checked_add(count * size_of::<Elf64_Phdr>())?;
        (end <= page_bytes()).then_some(Headers { address: start + offset, count })
    }

    fn iter(self) -> impl Iterator<Item = Elf64_Phdr> {
        let table = core::ptr::with_exposed_provenance::<Elf64_Phdr>(self.address);
        (0..self.count).map(move |index| {
            // SAFETY: the kernel's, the loader's, or inside a readable page as `after_elf_header` found. Any bytes do.
            unsafe { table.wrapping_add(index).read_unaligned() }
        })
    }
}

impl LoadedModule {
    pub(crate) fn contains(&self, address: usize) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// From the first to the last of its segments.
    pub(crate) fn spanned(self) -> LoadedModule {
        let loaded = self.headers.iter().filter(|header| header.p_type == PT_LOAD);
        let (start, end) =
            loaded.map(|header| self.in_memory(&header)).fold((self.start, self.end), |(start, end), segment| {
                (start.min(segment.start & !(page_bytes() - 1)), end.max(segment.end))
            });
        LoadedModule { start, end, ..self }
    }

    /// From `address` to the end of the readable segment that holds it.
    pub(crate) fn readable_from(&self, address: usize) -> Option<Range<usize>> {
        if self.headers == Headers::NONE {
            let object = find(find_object()?, address)?;
            return Some(address..object.map_end.expose_provenance());
        }
        let segments = self.headers.iter().filter(|header| header.p_type == PT_LOAD && header.p_flags & PF_R != 0);
        let segment = segments.map(|header| self.in_file(&header)).find(|range| range.contains(&address))?;
        Some(address..segment.end)
    }

    /// Whether the segment that holds `address` can be executed. Also true if that is not known.
    pub fn is_code(&self, address: usize) -> bool {
        let segments = self.headers.iter().filter(|header| header.p_type == PT_LOAD);
        let mut found = segments.filter(|header| self.in_file(header).contains(&address));
        found.next().is_none_or(|header| header.p_flags & PF_X != 0)
    }

    /// Where the first segment of that kind is in memory.
    pub(crate) fn segment(&self, kind: u32) -> Option<Range<usize>> {
        self.headers.iter().find(|header| header.p_type == kind).map(|header| self.in_file(&header))
    }

    /// Where the part of the file that `header` describes is in memory.
    fn in_file(&self, header: &Elf64_Phdr) -> Range<usize> {
        let start = self.load_bias.wrapping_add(header.p_vaddr as usize);
        start..start.saturating_add(header.p_filesz as usize)
    }

    /// The same with what follows it in memory and is not in the file; from a page's start.
    fn in_memory(&self, header: &Elf64_Phdr) -> Range<usize> {
        let start = self.load_bias.wrapping_add(header.p_vaddr as usize);
        start & !(page_bytes() - 1)..start.saturating_add(header.p_memsz as usize)
    }

    /// The bytes at `range`.
    ///
    /// # Safety
    ///
    /// `range` comes from [`LoadedModule::readable_from`] and the module is loaded as long as the result is used.
    pub(crate) unsafe fn bytes<'a>(range: &Range<usize>) -> &'a [u8] {
        let start = core::ptr::with_exposed_provenance::<u8>(range.start);
        // SAFETY: a readable segment of a loaded module; what the unwinder reads of it is never written.
        unsafe { core::slice::from_raw_parts(start, range.len()) }
    }
}

/// Writes the GNU build id of a loaded module and returns its length; 0 if it has none.
///
/// The module must be loaded: running code, or known not to be closed meanwhile.
pub fn build_id(module: &LoadedModule, id: &mut [u8; 32]) -> usize {
    let notes = module.headers.iter().filter(|header| header.p_type == PT_NOTE);
    for notes in notes.map(|header| module.in_file(&header)) {
        let Some(readable) = module.readable_from(notes.start).filter(|readable| notes.end <= readable.end) else {
            continue;
        };
        // SAFETY: the notes are inside `readable`, and the module is loaded by this function's contract.
        let bytes = unsafe { LoadedModule::bytes(&(readable.start..notes.end)) };
        if let Some(found) = find_build_id(bytes) {
            let length = found.len().min(id.len());
            if let (Some(to), Some(from)) = (id.get_mut(..length), found.get(..length)) {
                to.copy_from_slice(from);
            }
            return length;
        }
    }
    0
}

/// The description of the first note named "GNU" of type NT_GNU_BUILD_ID.
fn find_build_id(mut notes: &[u8]) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    loop {
        let (name_length, description_length, kind) = (word(notes, 0)?, word(notes, 4)?, word(notes, 8)?);
        let description = 12_usize.checked_add(padded(name_length)?)?;
        let end = description.checked_add(description_length as usize)?;
        if kind == NT_GNU_BUILD_ID && notes.get(12..12 + 4)? == b"GNU\0" && name_length == 4 {
            return notes.get(description..end);
        }
        notes = notes.get(description.checked_add(padded(description_length)?)?..)?;
    }
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..offset + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn padded(length: u32) -> Option<usize> {
    (length as usize).checked_next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;
    use std::vec::Vec;

    #[test]
    fn the_module_of_a_function_is_the_executable() {
        let pc = the_module_of_a_function_is_the_executable as *const () as usize;
        let module = module_of(pc).unwrap();
        assert!(module.contains(pc) && module.eh_frame_hdr != 0);
        // SAFETY: the executable's name, valid for ever.
        assert_eq!(unsafe { CStr::from_ptr(module.name) }, c"");
        let hdr = module.readable_from(module.eh_frame_hdr).unwrap();
        assert!(hdr.len() > 1000 && hdr.end <= module.end);
        assert!(module.headers.iter().count() > 5);
    }

    #[test]
    fn the_executables_headers_are_found_without_its_elf_header() {
        let pc = the_module_of_a_function_is_the_executable as *const () as usize;
        let module = module_of(pc).unwrap();
        let kernels = executables_headers().unwrap();
        assert_eq!((kernels.address, kernels.count), (module.headers.address, module.headers.count));
        let spanned = LoadedModule { start: pc, end: pc + 1, ..module }.spanned();
        assert_eq!((spanned.start, spanned.end), (module.start, module.end));
        let without = LoadedModule { headers: Headers::NONE, ..module };
        assert!(without.readable_from(module.eh_frame_hdr).is_some());
        assert!(without.readable_from(0).is_none());
    }

    #[test]
    fn libc_has_a_name_and_a_build_id() {
        let module = module_of(libc::getpid as *const () as usize).unwrap();
        // SAFETY: libc is never unloaded.
        let name = unsafe { CStr::from_ptr(module.name) };
        assert!(name.to_bytes().ends_with(b"libc.so.6"));
        let mut id = [0; 32];
        assert_eq!(build_id(&module, &mut id), 20);
        assert_ne!(id[..20], [0; 20]);
    }

    #[test]
    fn no_module_holds_the_stack() {
        let local = 0_u8;
        assert!(module_of(&raw const local as usize).is_none());
        assert!(module_of(0).is_none() && module_of(usize::MAX).is_none());
    }

    #[test]
    fn broken_notes_have_no_build_id() {
        let note = |name: u32, description: u32, kind: u32, tail: &[u8]| -> Vec<u8> {
            [name, description, kind].iter().flat_map(|word| word.to_ne_bytes()).chain(tail.iter().copied()).collect()
        };
        let good = note(4, 3, 3, b"GNU\0abc");
        assert_eq!(find_build_id(&good), Some(&b"abc"[..]));
        let second = [note(4, 1, 1, b"GNU\0x\0\0\0"), good.clone()].concat();
        assert_eq!(find_build_id(&second), Some(&b"abc"[..]));
        for broken in [note(4, 4, 3, b"GNU\0abc"), note(u32::MAX, u32::MAX, 3, b"GNU\0"), note(4, 0, 3, b"GN")] {
            assert_eq!(find_build_id(&broken), None);
        }
        for length in 0..good.len() {
            assert_eq!(find_build_id(&good[..length]), None);
        }
    }
}
