//! A thread's saved state, and the switch from one to another.
//!
//! A thread leaves the CPU in one of two ways. By [`switch`] it gives it up itself, as a function call: its callee-saved
//! registers are on its own stack and `rsp` finds them. By a slice upcall it is interrupted anywhere: everything it had
//! is in `registers`, `frame` and the vector area, and nothing on its stack, not even the red zone, was touched. Both
//! come back through [`switch`] (or the end of the upcall), which tells them apart by `full`.

use core::ops::Range;
use core::sync::atomic::AtomicU32;

/// A thread's saved state. `arch` knows the offsets; keep the order.
#[repr(C, align(64))]
pub struct Context {
    /// Where the callee-saved registers lie, if `full` is 0.
    pub(crate) stack_pointer: u64,
    /// The thread pointer.
    pub(crate) thread_pointer: u64,
    /// 1 while some CPU runs on this state; the next CPU waits for 0.
    pub(crate) on_cpu: AtomicU32,
    /// How deep upcalls were masked.
    pub(crate) mask: u32,
    /// 1: interrupted, everything is below.
    pub(crate) full: u64,
    /// The vector state's save area: 64-byte aligned, [`vector_area`] bytes.
    pub(crate) vectors: u64,
    /// rax rbx rcx rdx rsi rdi rbp r8 … r15.
    pub(crate) registers: [u64; 15],
    /// rip cs rflags rsp ss, as `iretq` takes them.
    pub(crate) frame: [u64; 5],
}

/// Bytes of a thread's vector save area, a multiple of 64.
pub fn vector_area() -> usize {
    crate::arch::vector_area()
}

impl Context {
    /// The state of the thread that is running already.
    ///
    /// # Safety
    /// `vectors` must be [`vector_area`] zeroed bytes, 64-byte aligned, for as long as the context is used.
    pub unsafe fn running(thread_pointer: *mut u8, vectors: *mut u8) -> Self {
        Context {
            stack_pointer: 0,
            thread_pointer: thread_pointer as u64,
            on_cpu: AtomicU32::new(1),
            mask: 1,
            full: 0,
            vectors: vectors as u64,
            registers: [0; 15],
            frame: [0; 5],
        }
    }

    /// The state of a thread that will call `entry(argument)` on `stack`, with upcalls masked once.
    ///
    /// # Safety
    /// As [`Context::running`]; `stack` must be writable memory that nobody else uses, its end 16-byte aligned.
    pub unsafe fn starting(
        thread_pointer: *mut u8,
        vectors: *mut u8,
        stack: Range<usize>,
        entry: extern "C" fn(usize) -> !,
        argument: usize,
    ) -> Self {
        // SAFETY: passed on to the caller.
        let mut context = unsafe { Self::running(thread_pointer, vectors) };
        context.on_cpu = AtomicU32::new(0);
        // SAFETY: the caller gives the stack.
        context.stack_pointer = unsafe { crate::arch::prepare_stack(stack.end, entry, argument) };
        context
    }

    /// Does some CPU still run on this state?
    pub fn on_cpu(&self) -> bool {
        self.on_cpu.load(core::sync::atomic::Ordering::Acquire) != 0
    }
}

/// Leaves `old`, which is running, and goes on with `new`; returns when somebody switches back to `old`.
///
/// # Safety
/// Upcalls are masked; `old` is this CPU's running context; `new` is not running anywhere and was saved or prepared
/// completely; both outlive their being switched away.
#[inline]
pub unsafe fn switch(old: *mut Context, new: *mut Context) {
    // SAFETY: the caller keeps the contract.
    unsafe { crate::arch::switch(old, new) }
}

/// Tells this CPU which context runs now, and takes its thread pointer. For the first thread, before any switch.
///
/// # Safety
/// `context` is the state of the running thread and lives until it is switched away for good.
pub unsafe fn adopt(context: *mut Context) {
    // SAFETY: the caller keeps the contract.
    unsafe { crate::arch::adopt(context) }
}
