//! Where everything of the machine lies in the guest's address space.
//!
//! One stretch at a random, 2 MiB-aligned address holds it all, in this order:
//!
//! ```text
//! image                     its segments, each with its own access
//! boot information          read-only
//! vCPU block, rings         read and write
//! the far side's own        what the backend needs there: nothing in a process
//! (guard)
//! stack
//! (guard)
//! arena                     from the next 2 MiB on, so that large pages fit
//! ```
//!
//! In a process the guest's addresses are the child's own. Under KVM the child sees the same stretch elsewhere, and
//! [`Layout::host`] is the only way from one to the other.

use super::strings::Strings;
use crate::{Error, Program};
use abi::PAGE_SIZE;
use abi::boot::BootInfo;
use abi::image::{IMAGE_ALIGN, default_stack};
use abi::vcpu::Vcpu;

/// The least arena a program can start in, in bytes.
const ARENA_MIN: u64 = 192 << 10;

/// Bytes from `start` to `end`, relative to the machine's base until [`Layout::at`] moves them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Span {
    fn after(start: u64, length: u64) -> Self {
        Self { start, end: start + length.next_multiple_of(PAGE_SIZE) }
    }

    pub(crate) fn length(&self) -> u64 {
        self.end - self.start
    }

    fn moved(self, by: u64) -> Self {
        Self { start: self.start + by, end: self.end + by }
    }
}

/// Where everything lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) image: Span,
    pub(crate) boot: Span,
    pub(crate) vcpu: Span,
    pub(crate) rings: Span,
    pub(crate) far: Span,
    pub(crate) stack: Span,
    pub(crate) arena: Span,
    /// What to add to a guest's address (modulo 2^64) to get the child's.
    shift: u64,
}

impl Layout {
    /// Lays out `program` with `memory` bytes of RAM, base 0.
    pub(crate) fn plan(
        program: &Program<'_>,
        strings: &Strings,
        rings: u64,
        far: u64,
        memory: u64,
    ) -> Result<Self, Error> {
        let header = program.header;
        let stack = if header.stack == 0 { default_stack(memory) } else { header.stack };
        let image = Span::after(0, header.span);
        let boot = Span::after(image.end, size_of::<BootInfo>() as u64 + strings.bytes.len() as u64);
        let vcpu = Span::after(boot.end, size_of::<Vcpu>() as u64);
        let rings = Span::after(vcpu.end, rings);
        let far = Span::after(rings.end, far);
        let stack = Span::after(far.end + PAGE_SIZE, stack);
        // What is RAM: everything so far but the guard page.
        let used = stack.end - PAGE_SIZE;
        let needed = used + ARENA_MIN;
        if memory < needed {
            return Err(Error::MemoryTooSmall { given: memory, needed });
        }
        let arena_start = (stack.end + PAGE_SIZE).next_multiple_of(IMAGE_ALIGN);
        let arena = Span::after(arena_start, (memory - used) & !(PAGE_SIZE - 1));
        Ok(Self { image, boot, vcpu, rings, far, stack, arena, shift: 0 })
    }

    /// The same, at this base.
    pub(crate) fn at(self, base: u64) -> Self {
        Self {
            image: self.image.moved(base),
            boot: self.boot.moved(base),
            vcpu: self.vcpu.moved(base),
            rings: self.rings.moved(base),
            far: self.far.moved(base),
            stack: self.stack.moved(base),
            arena: self.arena.moved(base),
            shift: self.shift,
        }
    }

    /// The same, of which the child sees the first byte at `host`.
    pub(crate) fn seen_at(self, host: u64) -> Self {
        Self { shift: host.wrapping_sub(self.image.start), ..self }
    }

    /// Where the child sees a guest's address. For addresses outside the machine it means nothing.
    pub(crate) fn host(&self, address: u64) -> *mut u8 {
        address.wrapping_add(self.shift) as *mut u8
    }

    /// Where the child sees a span.
    pub(crate) fn host_span(&self, span: Span) -> Span {
        Span { start: span.start.wrapping_add(self.shift), end: span.end.wrapping_add(self.shift) }
    }
}
