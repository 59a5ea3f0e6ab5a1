//! A thread's memory: one run of pages with its guard, stack, vector save area, thread-local block and control block.
//!
//! ```text
//!   guard page │ stack … ← │ vector save area │ thread-local storage │ Control (the thread pointer)
//! ```
//! Only the pages at the top are touched by starting a thread. Blocks of ended threads are kept for the next ones, with
//! their guards, since making a guard page costs a call of the far side.

use crate::thread::Inner;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use machine::context::{Context, vector_area};
use machine::tls;
use memory::pages;
use sync::SpinLock;

const PAGE: usize = abi::PAGE_SIZE as usize;
const KEPT: usize = 16;

/// What the thread pointer points to. The first word is the psABI's, the one at 0x28 the stack protector's (GCC); the
/// rest is ours.
#[repr(C)]
pub(crate) struct Control {
    pub(crate) this: *mut Control,
    dynamic: usize,
    pub(crate) thread: *const Inner,
    reserved: [usize; 2],
    canary: usize,
    pub(crate) slots: [AtomicUsize; 4],
    pub(crate) context: Context,
}

/// A thread's memory.
#[derive(Debug)]
pub(crate) struct Block {
    run: NonNull<u8>,
    bytes: usize,
    /// The guard's length; 0 for the first thread, whose stack the far side gave.
    guard: usize,
    pub(crate) stack: Range<usize>,
    pub(crate) control: NonNull<Control>,
}

// SAFETY: a block is plain memory, and belongs to whoever has this value.
unsafe impl Send for Block {}
// SAFETY: nothing in it changes by a shared reference; what `control` points to has its own rules.
unsafe impl Sync for Block {}

static KEPT_BLOCKS: SpinLock<[Option<Block>; KEPT]> = SpinLock::new([const { None }; KEPT]);

impl Block {
    /// A block with a guarded stack of at least `stack_size` bytes.
    pub(crate) fn new(stack_size: usize) -> Option<Block> {
        let stack_size = stack_size.checked_next_multiple_of(PAGE)?;
        Self::kept(stack_size).or_else(|| Self::fresh(stack_size))
    }

    /// The first thread's, beside the stack that it has.
    pub(crate) fn first(stack: Range<usize>) -> Option<Block> {
        let bytes = Self::top_bytes().next_multiple_of(PAGE);
        let run = pages::allocate(bytes)?;
        Some(Self::lay_out(run, bytes, 0, stack))
    }

    fn kept(stack_size: usize) -> Option<Block> {
        let mut kept = KEPT_BLOCKS.lock();
        let fits = |b: &Block| (stack_size..=stack_size.saturating_mul(2)).contains(&b.stack.len());
        kept.iter_mut().find(|slot| slot.as_ref().is_some_and(fits))?.take()
    }

    fn fresh(stack_size: usize) -> Option<Block> {
        let bytes = stack_size.checked_add(Self::top_bytes() + PAGE)?.checked_next_multiple_of(PAGE)?;
        let run = pages::allocate_uninit(bytes)?;
        let start = run.as_ptr() as usize;
        // SAFETY: pages of our own, and `release` takes the guard back.
        if !unsafe { pages::guard(start, PAGE) } {
            // SAFETY: taken just now.
            unsafe { pages::free(run, bytes) };
            return None;
        }
        let stack_end = (start + bytes - Self::top_bytes()) & !15;
        Some(Self::lay_out(run, bytes, PAGE, start + PAGE..stack_end))
    }

    /// Bytes above the stack.
    fn top_bytes() -> usize {
        let template = tls::template();
        vector_area() + template.room() + (size_of::<Control>() + 2 * template.align).next_multiple_of(64)
    }

    fn lay_out(run: NonNull<u8>, bytes: usize, guard: usize, stack: Range<usize>) -> Block {
        let end = run.as_ptr() as usize + bytes;
        let control = (end - size_of::<Control>()) & !(tls::template().align - 1);
        // SAFETY: inside the run, which does not start at 0.
        let control = unsafe { NonNull::new_unchecked(control as *mut Control) };
        Block { run, bytes, guard, stack, control }
    }

    /// The vector save area: below the thread-local block, 64-byte aligned.
    fn vectors(&self) -> *mut u8 {
        let area = self.control.as_ptr() as usize - tls::template().room() - vector_area();
        (area & !63) as *mut u8
    }

    /// Sets thread-local storage and control block up for a thread that starts with `entry(argument)`, or, without
    /// an entry, for the one that is running.
    ///
    /// # Safety
    /// No thread uses the block.
    pub(crate) unsafe fn set_up(&self, thread: *const Inner, entry: Option<(extern "C" fn(usize) -> !, usize)>) {
        let pointer = self.control.as_ptr();
        let vectors = self.vectors();
        // SAFETY: all inside the block's own run by `lay_out`; the save area's header must be zero for the first
        // restore (SDM 1 §13.8), and legacy area and header are 576 bytes.
        unsafe {
            tls::template().fill(pointer.cast());
            vectors.write_bytes(0, 576.min(vector_area()));
            let context = match entry {
                Some((entry, argument)) => {
                    Context::starting(pointer.cast(), vectors, self.stack.clone(), entry, argument)
                }
                None => Context::running(pointer.cast(), vectors),
            };
            pointer.write(Control {
                this: pointer,
                dynamic: 0,
                thread,
                reserved: [0; 2],
                canary: usize::from_le_bytes(machine::boot().seed[..8].try_into().unwrap_or([0; 8])) & !0xff,
                slots: [const { AtomicUsize::new(0) }; 4],
                context,
            });
        }
    }

    /// Where the guard lies.
    pub(crate) fn guard(&self) -> Range<usize> {
        self.stack.start - PAGE..self.stack.start
    }

    /// Keeps the block for another thread, and gives the one back that was kept longest, if too many are.
    pub(crate) fn release(self) {
        static OLDEST: AtomicUsize = AtomicUsize::new(0);
        if self.guard == 0 {
            return;
        }
        pages::on_shortage(Self::forget_kept);
        let too_many = {
            let mut kept = KEPT_BLOCKS.lock();
            match kept.iter_mut().find(|slot| slot.is_none()) {
                Some(slot) => slot.replace(self),
                // A program whose threads want larger stacks than before shall not pay for a new one each time.
                None => kept[OLDEST.fetch_add(1, Ordering::Relaxed) % KEPT].replace(self),
            }
        };
        if let Some(block) = too_many {
            block.free();
        }
    }

    #[inline(never)]
    fn free(self) {
        if pages::unguard(self.run.as_ptr() as usize, self.guard) {
            // SAFETY: the thread has ended, and the guard is off.
            unsafe { pages::free(self.run, self.bytes) };
        }
    }

    /// Gives all of them back; false if there are none.
    fn forget_kept() -> bool {
        let mut any = false;
        while let Some(block) = KEPT_BLOCKS.lock().iter_mut().find_map(Option::take) {
            block.free();
            any = true;
        }
        any
    }
}
