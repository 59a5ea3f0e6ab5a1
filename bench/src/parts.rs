//! The parts of the benchmark: what can be measured by itself.

/// A part.
#[derive(Clone, Copy, Debug)]
pub struct PartInfo {
    /// Its name on the command line and in the results.
    pub name: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What it measures, for the list.
    pub about: &'static str,
    /// About how long it takes when everything is built, in seconds, on two CPUs.
    pub seconds: u32,
}

/// All of them, in the order in which they are measured and told.
pub const PARTS: [PartInfo; 11] = [
    part("sizes", "Size", "what is shipped: images, and a kernel with its initial RAM disk", 10),
    part("start", "Start-up", "from the start of the tool to the first line and to the first HTTP answer", 70),
    part("memory", "Memory", "the least that works, and what a machine has beside its guest's", 110),
    part("idle", "Idle", "CPU time and wake-ups of machines that have nothing to do", 50),
    part("costs", "Small operations", "system calls, threads, locks, sleeps", 90),
    part("http", "HTTP", "requests and latencies at 1, 32 and 256 connections", 350),
    part("tcp", "TCP", "one connection: bulk each way, and a byte there and back", 110),
    part("udp", "UDP", "small datagrams there and back", 90),
    part("many", "Many machines", "how many a second, how many at once", 120),
    part("build", "Time to build", "clean and incremental, image and native program", 270),
    part("entropy", "Randomness", "the places where things lie, and the seed, over many boots", 35),
];

const fn part(name: &'static str, title: &'static str, about: &'static str, seconds: u32) -> PartInfo {
    PartInfo { name, title, about, seconds }
}

/// The part of this name.
pub fn find(name: &str) -> Option<PartInfo> {
    PARTS.into_iter().find(|part| part.name == name)
}
