//! What the guest's CPU offers: what KVM supports, less what a guest in ring 3 could not use.

use crate::Error;
use crate::machine::boot::{self, XSAVE_WANTED};
use core::arch::x86_64::CpuidResult;
use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2};
use kvm_ioctls::Kvm;

/// Leaf 7's AMX bits (SDM 2A, CPUID): its state is large, and the host would have to grant it.
const AMX: u32 = 1 << 22 | 1 << 24 | 1 << 25;
/// Leaves of hypervisors: KVM's own are of use to ring 0 only.
const HYPERVISOR: core::ops::Range<u32> = 0x4000_0000..0x5000_0000;

/// The table.
#[derive(Debug)]
pub(super) struct Table(pub(super) CpuId);

impl Table {
    /// What KVM supports.
    ///
    /// # Errors
    /// [`Error::NoKvm`], if that is not enough for a machine.
    pub(super) fn supported(kvm: &Kvm) -> Result<Self, Error> {
        let mut table =
            kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(super::refused("say what the CPU offers"))?;
        // What is all zeros is so without an entry, too.
        let says_something = |e: &kvm_cpuid_entry2| e.eax | e.ebx | e.ecx | e.edx != 0;
        table.retain(|entry| !HYPERVISOR.contains(&entry.function) && says_something(entry));
        for entry in table.as_mut_slice() {
            match (entry.function, entry.index) {
                (7, 0) => entry.edx &= !AMX,
                (0xd, 0) => (entry.eax, entry.edx) = (entry.eax & XSAVE_WANTED as u32, 0),
                _ => {}
            }
        }
        let table = Self(table);
        match table.lacks() {
            Some(missing) => Err(Error::NoKvm(format!("its CPUs lack {missing}"))),
            None => Ok(table),
        }
    }

    /// A leaf; zeros where there is none.
    pub(super) fn leaf(&self, function: u32, index: u32) -> CpuidResult {
        let found = self.0.as_slice().iter().find(|e| e.function == function && e.index == index);
        found.map_or(CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 }, |e| CpuidResult {
            eax: e.eax,
            ebx: e.ebx,
            ecx: e.ecx,
            edx: e.edx,
        })
    }

    /// CR4 (SDM 3A §2.5): what 64-bit code needs, and every protection that is offered. KVM refuses bits that its CPUID
    /// does not offer, FSGSBASE perhaps excepted: a KVM that emulates ring 0 may not list it, while ring 3 has it. So it is
    /// asked for in any case, and KVM decides.
    pub(super) fn cr4(&self) -> u64 {
        let (basic, extended) = (self.leaf(1, 0), self.leaf(7, 0));
        let mut cr4: u64 = 0x620 | 1 << 16; // PAE, OSFXSR, OSXMMEXCPT, FSGSBASE
        for (offered, bit) in [
            (basic.edx & 1 << 13 != 0, 7),    // PGE
            (extended.ecx & 1 << 2 != 0, 11), // UMIP: sgdt and the like fault in ring 3
            (self.has_xsave(), 18),           // OSXSAVE
            (extended.ebx & 1 << 7 != 0, 20), // SMEP
        ] {
            cr4 |= u64::from(offered) << bit;
        }
        cr4
    }

    fn has_xsave(&self) -> bool {
        self.leaf(1, 0).ecx & 1 << 26 != 0
    }

    /// The state components that the guest has and saves (XCR0), 0 without XSAVE (SDM 1 §13.3).
    pub(super) fn xcr0(&self) -> u64 {
        if !self.has_xsave() {
            return 0;
        }
        let offered = u64::from(self.leaf(0xd, 0).eax) & XSAVE_WANTED;
        match offered {
            _ if offered & 4 == 0 => offered & 3, // AVX-512 builds upon AVX
            _ if offered & 0xe0 != 0xe0 => offered & 7,
            _ => offered,
        }
    }

    /// What the guest is told of it.
    pub(super) fn cpu(&self) -> abi::boot::Cpu {
        boot::cpu(self.xcr0(), |part| self.leaf(0xd, part))
    }

    /// What the machine cannot do without, if it is missing.
    fn lacks(&self) -> Option<&'static str> {
        let long = self.leaf(0x8000_0001, 0).edx;
        match () {
            () if long & 1 << 29 == 0 => Some("64-bit mode"),
            () if long & 1 << 20 == 0 => Some("no-execute pages (NX)"),
            () => None,
        }
    }
}
