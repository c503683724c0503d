//! A function of the C library, by the library's own hash table: for a function that older ones lack, so that what uses
//! it still loads there (a weak reference would not do: the linker makes the symbol's version a condition), and for
//! `preload`, which wants the entry of the symbol table. Not `dlsym`, which takes a lock and may allocate.
//!
//! The dynamic loader's list of modules is read without its lock. That is safe as far as the C library, which is looked
//! for: it was loaded at the start and is never unloaded, and so were all before it. `module.rs` calls it once.

use core::ffi::{CStr, c_char};

use libc::Elf64_Sym;

use crate::arch::r_debug_address;
use crate::module::LoadedModule;

/// A function that the C library defines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LibcSymbol {
    /// Where its [`Elf64_Sym`] is, in a table that is loaded for reading.
    pub entry: usize,
    /// The module's load bias, which is added to the value in the entry.
    pub load_bias: usize,
    /// The function's address in memory.
    pub address: usize,
}

/// The public part of `struct link_map`.
#[derive(Clone, Copy)]
#[repr(C)]
struct LinkMap {
    load_bias: usize,
    name: *const c_char,
    dynamic: usize,
    next: usize,
}

/// `Elf64_Dyn`
#[derive(Clone, Copy)]
#[repr(C)]
struct Dynamic {
    tag: usize,
    value: usize,
}

/// The C library is among the first. A program with more libraries before it does without.
const MAX_MODULES: usize = 4096;
/// More than any linker leaves in a bucket.
const MAX_CHAIN: usize = 4096;

/// The address of the C library's function of that name, or 0. Takes no lock and allocates nothing.
pub fn in_libc(name: &CStr) -> usize {
    libc_symbol(name).map_or(0, |symbol| symbol.address)
}

/// The C library's function of that name.
pub fn libc_symbol(name: &CStr) -> Option<LibcSymbol> {
    find(&libc_map()?, name)
}

/// The address of the function of that name that a module defines, or 0. Takes no lock and allocates nothing, where a dlsym(3)
/// that finds nothing allocates its error.
///
/// The module must be one that was loaded at the start and is never unloaded.
pub fn in_module(module: &LoadedModule, name: &CStr) -> usize {
    let is_it = |map: &LinkMap| map.load_bias == module.load_bias;
    find_map(is_it).and_then(|map| find(&map, name)).map_or(0, |symbol| symbol.address)
}

fn libc_map() -> Option<LinkMap> {
    find_map(|map| map.name().to_bytes().ends_with(b"/libc.so.6"))
}

fn find_map(is_it: impl Fn(&LinkMap) -> bool) -> Option<LinkMap> {
    /// `struct r_debug` begins with a version and the list.
    const MAP_AT: usize = size_of::<usize>();
    let debug = r_debug_address();
    if debug == 0 {
        return None;
    }
    // SAFETY: the loader's variable.
    let mut next = unsafe { read::<usize>(debug + MAP_AT) };
    for _ in 0..MAX_MODULES {
        if next == 0 {
            return None;
        }
        // SAFETY: an entry of the loader's list, of a module that is never unloaded (see above).
        let map = unsafe { read::<LinkMap>(next) };
        if is_it(&map) {
            return Some(map);
        }
        next = map.next;
    }
    None
}

fn find(map: &LinkMap, name: &CStr) -> Option<LibcSymbol> {
    const DT_STRTAB: usize = 5;
    const DT_SYMTAB: usize = 6;
    const DT_GNU_HASH: usize = 0x6fff_fef5;
    let (strings, symbols, hashes) = (map.dynamic(DT_STRTAB)?, map.dynamic(DT_SYMTAB)?, map.dynamic(DT_GNU_HASH)?);
    // SAFETY: the table that the loader itself reads to bind symbols, as it would read it for this name.
    let word = |index: usize| unsafe { read::<u32>(hashes.wrapping_add(index.wrapping_mul(4))) };
    let (bucket_count, first, bloom_words) = (word(0), word(1) as usize, word(2) as usize);
    let buckets = 4 + bloom_words * 2;
    let chains = buckets + bucket_count as usize;
    let hash = name.to_bytes().iter().fold(5381_u32, |hash, byte| hash.wrapping_mul(33).wrapping_add((*byte).into()));
    let start = word(buckets + hash.checked_rem(bucket_count)? as usize) as usize;
    for index in (start..).take(MAX_CHAIN) {
        // An empty bucket holds 0, which is below the first symbol that is hashed.
        let entry = word(chains + index.checked_sub(first)?);
        let at = symbols.wrapping_add(index * size_of::<Elf64_Sym>());
        // SAFETY: as above.
        let symbol: Elf64_Sym = unsafe { read(at) };
        let named = || {
            let string = core::ptr::with_exposed_provenance(strings.wrapping_add(symbol.st_name as usize));
            // SAFETY: as above; names are C strings.
            unsafe { CStr::from_ptr(string) == name }
        };
        if (entry ^ hash) >> 1 == 0 && symbol.st_shndx != 0 && named() {
            let address = map.load_bias.wrapping_add(symbol.st_value as usize);
            return Some(LibcSymbol { entry: at, load_bias: map.load_bias, address });
        }
        if entry & 1 != 0 {
            break;
        }
    }
    None
}

impl LinkMap {
    fn name(&self) -> &CStr {
        if self.name.is_null() {
            return c"";
        }
        // SAFETY: the loader's name of the module, a C string.
        unsafe { CStr::from_ptr(self.name) }
    }

    /// The address in the entry of the module's dynamic section with that tag.
    fn dynamic(&self, wanted: usize) -> Option<usize> {
        const MAX_ENTRIES: usize = 256;
        for index in 0..MAX_ENTRIES {
            // SAFETY: the module's dynamic section, which ends with an entry of tag 0.
            let entry: Dynamic = unsafe { read(self.dynamic.wrapping_add(index * size_of::<Dynamic>())) };
            match entry.tag {
                0 => return None,
                // The loader has made these absolute.
                tag if tag == wanted => return Some(entry.value),
                _ => {}
            }
        }
        None
    }
}

/// # Safety
///
/// A `T` is at `address`, or any other bytes if every value is a `T`.
unsafe fn read<T: Copy>(address: usize) -> T {
    let pointer = core::ptr::with_exposed_provenance::<T>(address);
    // SAFETY: as above.
    unsafe { pointer.read_unaligned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_the_loader_finds() {
        for name in [c"_dl_find_object", c"getpid", c"qsort", c"dl_iterate_phdr", c"environ"] {
            // SAFETY: any name may be asked for.
            let expected = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
            assert!(!expected.is_null());
            assert_eq!(in_libc(name), expected as usize, "{name:?}");
        }
    }

    #[test]
    fn finds_what_a_module_defines_and_nothing_else() {
        let module = crate::module_of(libc::getpid as *const () as usize).unwrap();
        assert_eq!(in_module(&module, c"getpid"), in_libc(c"getpid"));
        assert_eq!(in_module(&module, c"nallocx"), 0);
    }

    #[test]
    fn finds_nothing_that_it_does_not_define() {
        for name in [c"_dl_find_objec", c"_dl_find_object_", c"", c"in_libc", c"__libc_stack_end"] {
            assert_eq!(in_libc(name), 0, "{name:?}");
        }
    }
}
