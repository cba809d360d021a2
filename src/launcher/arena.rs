//! The launcher's allocator: a fixed area that is handed out once, from front to back.
//!
//! The launcher lives for a millisecond and needs some tens of kilobytes. The C library would ask the kernel for them
//! page by page: a fifth of all the launcher's system calls. What does not fit goes to the C library.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The area's size. It costs neither file size nor memory until it is used.
const SIZE: usize = 256 * 1024;

#[cfg(not(test))]
#[global_allocator]
static ARENA: Arena = Arena::new();

struct Arena {
    area: UnsafeCell<[MaybeUninit<u8>; SIZE]>,
    /// Bytes handed out. Every byte below belongs to one allocation at most, every byte above to none.
    used: AtomicUsize,
}

// SAFETY: `area` is reached only through pointers to ranges that `used`, which is atomic, gave to one allocation each.
unsafe impl Sync for Arena {}

impl Arena {
    const fn new() -> Self {
        Self {
            area: UnsafeCell::new([MaybeUninit::uninit(); SIZE]),
            used: AtomicUsize::new(0),
        }
    }

    fn base(&self) -> *mut u8 {
        self.area.get().cast()
    }

    /// Where in the area the allocation starts, if it is in it.
    fn offset(&self, pointer: *mut u8) -> Option<usize> {
        pointer
            .addr()
            .checked_sub(self.base().addr())
            .filter(|offset| *offset < SIZE)
    }

    /// Moves the end of the last allocation; false if `old_end` is not where it ends or the new one is too far.
    fn move_end(&self, old_end: usize, new_end: usize) -> bool {
        new_end <= SIZE
            && self
                .used
                .compare_exchange(old_end, new_end, Relaxed, Relaxed)
                .is_ok()
    }
}

// SAFETY: pointers come from `System` or are ranges of `area` that are aligned, inside it and disjoint; a range is
// handed out again only after its deallocation moved `used` back.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = |used: usize| {
            let address = self.base().addr().checked_add(used)?;
            Some(used + (address.checked_next_multiple_of(layout.align())? - address))
        };
        let end = |used| {
            start(used)?
                .checked_add(layout.size())
                .filter(|end| *end <= SIZE)
        };
        match self
            .used
            .fetch_update(Relaxed, Relaxed, end)
            .ok()
            .and_then(start)
        {
            // SAFETY: `start` is at most `end`, which is inside the area.
            Some(start) => unsafe { self.base().add(start) },
            // SAFETY: the caller's promise about `layout`.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match self.offset(pointer) {
            Some(start) => {
                self.move_end(start + layout.size(), start);
            }
            // SAFETY: it came from `System` with this layout.
            None => unsafe { System.dealloc(pointer, layout) },
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some(start) = self.offset(pointer) else {
            // SAFETY: it came from `System` with this layout; the rest is the caller's promise.
            return unsafe { System.realloc(pointer, layout, new_size) };
        };
        let new_end = start.checked_add(new_size);
        if new_size <= layout.size()
            || new_end.is_some_and(|end| self.move_end(start + layout.size(), end))
        {
            return pointer;
        }
        // SAFETY: the caller promises that the size fits the alignment; both ranges hold at least `layout.size()`
        // bytes, and the new one is not the old one, which is still allocated.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !moved.is_null() {
                std::ptr::copy_nonoverlapping(pointer, moved, layout.size());
                self.dealloc(pointer, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn ranges_are_aligned_disjoint_and_reused() {
        let arena = Box::leak(Box::new(Arena::new()));
        // SAFETY: layouts match, contents are written before they are read.
        unsafe {
            let one = arena.alloc(layout(3, 1));
            let two = arena.alloc(layout(8, 64));
            assert_eq!(two.addr() % 64, 0);
            assert!(two.addr() >= one.addr() + 3);
            two.write_bytes(7, 8);
            assert_eq!(
                arena.realloc(two, layout(8, 64), 100),
                two,
                "the last grows in place"
            );
            let moved = arena.realloc(one, layout(3, 1), 50);
            assert_ne!(moved, one);
            arena.dealloc(moved, layout(50, 1));
            assert_eq!(arena.alloc(layout(50, 1)), moved, "the last is reused");
            assert_eq!(two.read(), 7);
        }
    }

    #[test]
    fn what_does_not_fit_is_the_systems() {
        let arena = Box::leak(Box::new(Arena::new()));
        // SAFETY: as above.
        unsafe {
            let large = arena.alloc(layout(SIZE + 1, 8));
            assert!(arena.offset(large).is_none());
            let large = arena.realloc(large, layout(SIZE + 1, 8), 10);
            arena.dealloc(large, layout(10, 8));
            let small = arena.alloc(layout(SIZE, 1));
            assert!(arena.offset(small).is_some());
            small.write_bytes(1, SIZE);
            let moved = arena.realloc(small, layout(SIZE, 1), SIZE + 10);
            assert!(arena.offset(moved).is_none());
            assert_eq!(moved.add(SIZE - 1).read(), 1);
            arena.dealloc(moved, layout(SIZE + 10, 1));
        }
    }
}
