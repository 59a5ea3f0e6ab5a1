//! `std::alloc`.

use crate::{Case, saw};
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::collections::{HashMap, VecDeque};
use std::thread;

pub(crate) const CASES: &[Case] = &[
    ("Layout", layouts),
    ("alloc: sizes and alignments", sizes),
    ("alloc_zeroed", zeroed),
    ("realloc", reallocated),
    ("try_reserve of memory that is not there", too_much),
    ("alloc between threads", threads),
];

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

fn layouts() {
    saw!("bad", (Layout::from_size_align(8, 3).is_err(), Layout::from_size_align(usize::MAX, 8).is_err()));
    saw!("error", Layout::from_size_align(8, 3).unwrap_err().to_string());
    let (pair, offset) = Layout::new::<u8>().extend(Layout::new::<u64>()).unwrap();
    saw!("extend", (pair.size(), pair.align(), offset, pair.pad_to_align().size()));
    saw!("array", Layout::array::<u32>(7).map(|l| l.size()).ok());
}

fn sizes() {
    let mut blocks = Vec::new();
    for power in 0..=22 {
        for size in [1, 100, 5000] {
            let layout = layout(size, 1 << power);
            // SAFETY: the layout is not empty.
            let block = unsafe { alloc(layout) };
            assert!(!block.is_null() && block.addr() % (1 << power) == 0, "{layout:?}");
            // SAFETY: a block of that size.
            unsafe { block.write_bytes(power as u8, size) };
            blocks.push((block, layout, power as u8));
        }
    }
    saw!("blocks, aligned up to 4 MiB", blocks.len());
    for (block, layout, byte) in blocks {
        // SAFETY: a live block, written above.
        unsafe {
            assert!(std::slice::from_raw_parts(block, layout.size()).iter().all(|b| *b == byte));
            dealloc(block, layout);
        }
    }
    let large = layout(24 << 20, 16);
    for _ in 0..5 {
        // SAFETY: not empty; given back at once.
        unsafe {
            let block = alloc(large);
            assert!(!block.is_null());
            block.add(large.size() - 1).write(1);
            dealloc(block, large);
        }
    }
    saw!("24 MiB, five times over", true);
}

fn zeroed() {
    for round in 0..3 {
        for size in [1, 24, 4096, 100_000, 3 << 20] {
            // SAFETY: not empty, and given back with the same layout.
            unsafe {
                let block = alloc_zeroed(layout(size, 8));
                assert!(std::slice::from_raw_parts(block, size).iter().all(|b| *b == 0), "{size} in round {round}");
                block.write_bytes(0xff, size);
                dealloc(block, layout(size, 8));
            }
        }
    }
    saw!("all zero", true);
}

fn reallocated() {
    for align in [1, 16, 64, 4096] {
        let steps = [10, 100, 1000, 200_000, 3_000_000, 150_000, 5000, 20, 1];
        // SAFETY: a live block, its layout kept beside it; `kept` bytes were written.
        unsafe {
            let (mut size, mut block) = (1, alloc(layout(1, align)));
            block.write(0x5a);
            for next in steps {
                block = realloc(block, layout(size, align), next);
                assert!(!block.is_null() && block.addr() % align == 0, "{align} {next}");
                let kept = std::slice::from_raw_parts(block, size.min(next));
                assert!(kept.iter().all(|b| *b == 0x5a), "{align}: {size} to {next}");
                block.write_bytes(0x5a, next);
                size = next;
            }
            dealloc(block, layout(size, align));
        }
    }
    saw!("contents stay", true);
    let mut list = Vec::new();
    (0..1_000_000u32).for_each(|n| list.push(n));
    list.truncate(10);
    list.shrink_to_fit();
    saw!("Vec", (list.len(), list.capacity()));
}

fn too_much() {
    saw!("Vec", Vec::<u8>::new().try_reserve(1 << 46).map_err(|e| e.to_string()));
    saw!("exactly", Vec::<u64>::new().try_reserve_exact(1 << 45).map_err(|e| e.to_string()));
    saw!("more than there can be", Vec::<u8>::new().try_reserve(usize::MAX).map_err(|e| e.to_string()));
    saw!("String", String::new().try_reserve(1 << 46).map_err(|e| e.to_string()));
    saw!("HashMap", HashMap::<u64, u64>::new().try_reserve(1 << 42).is_err());
    saw!("VecDeque", VecDeque::<u64>::new().try_reserve(1 << 42).map_err(|e| e.to_string()));
    // SAFETY: not empty, and null.
    saw!("alloc", unsafe { alloc(layout(1 << 46, 1 << 21)) }.is_null());
    // SAFETY: not empty, and null.
    saw!("alloc_zeroed", unsafe { alloc_zeroed(layout(1 << 46, 8)) }.is_null());
    let mut kept = vec![7u8; 1000];
    saw!("the old block stays", (kept.try_reserve(1 << 46).is_err(), kept.iter().all(|b| *b == 7)));
    kept.extend([1; 10_000]);
    saw!("and it goes on", kept.len());
    saw!("a thread, too", thread::spawn(|| vec![0u8; 1 << 20].len()).join().unwrap());
}

fn threads() {
    let sums: Vec<usize> = thread::scope(|s| {
        let workers: Vec<_> = (1..=6)
            .map(|n| {
                s.spawn(move || {
                    let mut kept: Vec<Vec<u8>> = Vec::new();
                    for i in 0..3000usize {
                        kept.push(vec![n as u8; i * n % 700 + 1]);
                        if kept.len() > 50 {
                            let old = kept.swap_remove(i % 50);
                            assert!(old.iter().all(|b| *b == n as u8));
                        }
                    }
                    kept.iter().map(Vec::len).sum()
                })
            })
            .collect();
        workers.into_iter().map(|w| w.join().unwrap()).collect()
    });
    saw!("sums", sums);
    let made_there = thread::spawn(|| (0..100).map(|n| vec![n; n]).collect::<Vec<_>>()).join().unwrap();
    saw!("freed here", made_there.into_iter().map(|v| v.len()).sum::<usize>());
}
