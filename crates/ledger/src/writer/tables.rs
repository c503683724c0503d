//! The small tables: labels and modules. Each has a fixed capacity, and a record is complete before it is counted. Part of
//! `writer`.

use core::sync::atomic::Ordering::*;

use super::keys::word_of;
use super::{LabelId, ModuleEntry, Writer};
use crate::layout::*;

impl Writer {
    /// The id of a label, added if it is new. `None` when the table is full.
    pub fn label(&self, wanted: &LabelId) -> Option<u16> {
        if let Some(found) = self.find_label(wanted) {
            return Some(found);
        }
        let _held = self.lock.lock()?;
        self.find_label(wanted).or_else(|| self.add_label(wanted))
    }

    fn find_label(&self, wanted: &LabelId) -> Option<u16> {
        let (count, text) = (self.page.label_count.load(Acquire), wanted.words());
        (0..count.min(LABEL_CAPACITY as u32) as u16).find(|&id| {
            self.record::<RawLabel>(LABELS_AT, id.into()).is_some_and(|label| {
                label.tenant_id.load(Relaxed) == wanted.tenant_id
                    && label.ctx_id.load(Relaxed) == wanted.ctx_id
                    && label.text[0].load(Relaxed) == text[0]
                    && label.text[1].load(Relaxed) == text[1]
            })
        })
    }

    pub(super) fn add_label(&self, wanted: &LabelId) -> Option<u16> {
        let id = self.page.label_count.load(Relaxed);
        if id as usize >= LABEL_CAPACITY {
            return None;
        }
        let label = self.record::<RawLabel>(LABELS_AT, id as usize)?;
        label.tenant_id.store(wanted.tenant_id, Relaxed);
        label.ctx_id.store(wanted.ctx_id, Relaxed);
        for (word, value) in label.text.iter().zip(wanted.words()) {
            word.store(value, Relaxed);
        }
        self.page.label_count.store(id + 1, Release);
        Some(id as u16)
    }

    /// Records a loaded module. `false` when the table is full, which costs names, not samples.
    pub fn add_module(&self, module: &ModuleEntry) -> bool {
        let Some(_held) = self.lock.lock() else {
            return false;
        };
        let id = self.modules.load(Relaxed);
        if id as usize >= MODULE_CAPACITY {
            return false;
        }
        let name = module.name.get(..module.name.len().min(u16::MAX as usize)).unwrap_or_default();
        let Ok(name_at) = self.append(name.len().div_ceil(8), name.chunks(8).map(word_of)) else {
            return false;
        };
        let Some(entry) = self.record::<RawModule>(MODULES_AT, id as usize) else {
            return false;
        };
        entry.start.store(module.start, Relaxed);
        entry.end.store(module.end, Relaxed);
        entry.load_bias.store(module.load_bias, Relaxed);
        entry.loaded.store(self.page.module_generation.load(Relaxed), Relaxed);
        entry.name_at.store(name_at, Relaxed);
        entry.name_bytes.store(name.len() as u16, Relaxed);
        let build_id = module.build_id.get(..module.build_id.len().min(32)).unwrap_or_default();
        for (word, chunk) in entry.build_id.iter().zip(build_id.chunks(8)) {
            word.store(word_of(chunk), Relaxed);
        }
        entry.build_id_bytes.store(build_id.len() as u16, Relaxed);
        entry.is_program.store(module.is_program.into(), Relaxed);
        entry.ready.store(1, Release);
        self.modules.store(id + 1, Relaxed);
        self.page.module_count.store(id + 1, Release);
        true
    }

    /// Something was unloaded: stacks interned from now on belong to another generation, since the same addresses may
    /// mean something else. Returns the new generation.
    pub fn next_module_generation(&self) -> u32 {
        self.page.module_generation.fetch_add(1, AcqRel) + 1
    }

    /// Marks the modules that `is_loaded(start, end)` denies as gone.
    pub fn close_modules(&self, is_loaded: impl Fn(u64, u64) -> bool) {
        let generation = self.page.module_generation.load(Relaxed);
        for id in 0..self.modules.load(Relaxed) as usize {
            let Some(entry) = self.record::<RawModule>(MODULES_AT, id) else {
                continue;
            };
            if entry.unloaded.load(Relaxed) == 0 && !is_loaded(entry.start.load(Relaxed), entry.end.load(Relaxed)) {
                entry.unloaded.store(generation, Release);
            }
        }
    }
}
