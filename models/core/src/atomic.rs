//! The atomic types: core's in memory, and loom's in behaviour while threads of a model run.
//!
//! Each operation asks `model` for the loom cell that stands for its address. Called by the product's code.

use core::sync::atomic::{self as plain, Ordering};

use crate::model::{self, Cell, Kind};

macro_rules! atomic {
    ($name:ident, $value:ty) => {
        #[repr(transparent)]
        #[derive(Default)]
        pub struct $name(plain::$name);

        impl $name {
            pub const fn new(value: $value) -> Self {
                Self(plain::$name::new(value))
            }

            fn operate<R>(
                &self,
                checked: impl FnOnce(&loom::sync::atomic::$name) -> R,
                plain: impl FnOnce(&plain::$name) -> R,
            ) -> R {
                model::interrupt();
                match model::cell(core::ptr::from_ref(self) as usize, Kind::$name).as_deref() {
                    None => plain(&self.0),
                    Some(Cell::$name(atomic)) => model::switching(|| checked(atomic)),
                    Some(_) => panic!("one address as two types"),
                }
            }

            pub fn load(&self, order: Ordering) -> $value {
                self.operate(|atomic| atomic.load(order), |atomic| atomic.load(order))
            }

            /// An exchange. Loom lets a store come between what an exchange reads and what it writes: a lock that is
            /// given back by a store while another thread tries it by an exchange would stay locked.
            pub fn store(&self, value: $value, order: Ordering) {
                self.operate(|atomic| _ = atomic.swap(value, order), |atomic| atomic.store(value, order))
            }

            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                self.operate(|atomic| atomic.swap(value, order), |atomic| atomic.swap(value, order))
            }

            pub fn compare_exchange(
                &self,
                old: $value,
                new: $value,
                ok: Ordering,
                err: Ordering,
            ) -> Result<$value, $value> {
                self.operate(
                    |atomic| atomic.compare_exchange(old, new, ok, err),
                    |atomic| atomic.compare_exchange(old, new, ok, err),
                )
            }

            pub fn compare_exchange_weak(
                &self,
                old: $value,
                new: $value,
                ok: Ordering,
                err: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(old, new, ok, err)
            }
        }
    };
}

macro_rules! arithmetic {
    ($name:ident, $value:ty, $($operation:ident)*) => {
        impl $name {
            $(pub fn $operation(&self, value: $value, order: Ordering) -> $value {
                self.operate(|atomic| atomic.$operation(value, order), |atomic| atomic.$operation(value, order))
            })*
        }
    };
}

atomic!(AtomicBool, bool);
atomic!(AtomicU8, u8);
atomic!(AtomicU16, u16);
atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);
atomic!(AtomicUsize, usize);
arithmetic!(AtomicU8, u8, fetch_add fetch_sub fetch_or fetch_and fetch_max);
arithmetic!(AtomicU16, u16, fetch_add fetch_sub fetch_or fetch_and fetch_max);
arithmetic!(AtomicU32, u32, fetch_add fetch_sub fetch_or fetch_and fetch_max);
arithmetic!(AtomicU64, u64, fetch_add fetch_sub fetch_or fetch_and fetch_max);
arithmetic!(AtomicUsize, usize, fetch_add fetch_sub fetch_or fetch_and fetch_max);

/// A pointer is a number to the checker.
#[repr(transparent)]
pub struct AtomicPtr<T>(plain::AtomicPtr<T>);

impl<T> AtomicPtr<T> {
    pub const fn new(value: *mut T) -> Self {
        Self(plain::AtomicPtr::new(value))
    }

    fn number(&self) -> &AtomicUsize {
        // SAFETY: both are one word, valid for any bits; provenance is exposed below wherever a pointer goes in.
        unsafe { &*core::ptr::from_ref(self).cast::<AtomicUsize>() }
    }

    pub fn load(&self, order: Ordering) -> *mut T {
        core::ptr::with_exposed_provenance_mut(self.number().load(order))
    }

    pub fn store(&self, value: *mut T, order: Ordering) {
        self.number().store(value.expose_provenance(), order)
    }

    pub fn swap(&self, value: *mut T, order: Ordering) -> *mut T {
        core::ptr::with_exposed_provenance_mut(self.number().swap(value.expose_provenance(), order))
    }
}

pub fn fence(order: Ordering) {
    if model::is_running() {
        model::switching(|| loom::sync::atomic::fence(order));
    } else {
        plain::fence(order);
    }
}

/// A moment at which a signal handler may run. What it keeps the compiler from is not modelled.
pub fn compiler_fence(order: Ordering) {
    model::interrupt();
    plain::compiler_fence(order);
}
