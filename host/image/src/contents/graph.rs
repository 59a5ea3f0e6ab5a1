//! What refers to what, read from the code itself.
//!
//! A node is a function, or an object: data between two addresses that anything refers to. An edge is an instruction that
//! calls, jumps to or takes the address of another node, or a word in an object that holds one. Compiled code is all that a
//! function's symbol covers, so it decodes from its first byte to its last; the linker leaves no reference that is neither an
//! operand relative to the instruction pointer nor a relocated word, for the image can lie anywhere. What is computed at
//! run time (the targets of a `switch`) stays inside its function. Thread-local objects are no nodes: code finds them by
//! the thread's own base, and nothing points from them.

use super::elf::{Program, Symbol};
use super::owners::{OwnerId, Owners, SHARED, TABLES, UNKNOWN, readable};
use super::sources::{Place, Sources};
use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

/// How one node refers to another, the plainest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// It calls it, or jumps to it as its last act.
    Calls,
    /// It goes on into it.
    FallsInto,
    /// Its code takes the address, or reads or writes there.
    Refers,
    /// It is data, and holds the address.
    Points,
}

impl How {
    /// How much farther away it makes a node: of two ways, the one with more calls is easier to understand.
    fn cost(self) -> u32 {
        match self {
            How::Calls | How::FallsInto => 2,
            How::Refers | How::Points => 3,
        }
    }
}

/// A reference.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// The node referred to, an index into [`Graph::nodes`].
    pub to: usize,
    /// How.
    pub how: How,
    /// File and line of the reference, if it is code: an index into [`Graph::files`].
    pub line: Option<(u32, u32)>,
    owner: OwnerId,
}

/// A function or an object.
#[derive(Clone, Debug)]
pub struct Node {
    /// Link address, as the debug file has it.
    pub address: u64,
    /// Bytes.
    pub length: u64,
    /// Is it code?
    pub is_function: bool,
    /// Its names, readable; several where functions of the same code were folded into one, none for most constants.
    pub names: Vec<String>,
    /// What was inlined into it: indices into [`Graph::inlined`], ascending.
    pub inlined: Vec<u32>,
    /// Bytes in memory that the file does not give.
    pub(super) is_zero: bool,
    pub(super) symbols: Vec<String>,
    pub(super) owner: OwnerId,
    /// A function's bytes by whose code they are.
    pub(super) parts: Vec<(OwnerId, u64)>,
}

/// The graph.
#[derive(Debug)]
pub struct Graph {
    /// The nodes, ascending by address.
    pub nodes: Vec<Node>,
    /// What each node refers to, each other node once.
    pub edges: Vec<Vec<Edge>>,
    /// Where the machine begins: its entry, and what is called before `main`.
    pub roots: Vec<usize>,
    /// Names of inlined functions, readable.
    pub inlined: Vec<String>,
    /// Source files.
    pub files: Vec<String>,
    /// By which way each node is reached with the least steps: from which node.
    pub(super) reached_from: Vec<Option<Option<usize>>>,
}

impl Graph {
    pub(super) fn build(elf: &Program<'_>, sources: &Sources<'_>, owners: &mut Owners) -> Graph {
        let mut builder =
            Builder { elf, sources, owners, nodes: Vec::new(), names: HashMap::new(), inlined: Vec::new() };
        builder.functions();
        let references = builder.references();
        builder.objects(&references);
        let edges = builder.edges(references);
        let roots = builder.roots();
        let Builder { nodes, inlined, .. } = builder;
        let files = sources.files.iter().map(|f| f.path.clone()).collect();
        let mut graph = Graph { nodes, edges, roots, inlined, files, reached_from: Vec::new() };
        graph.reached_from = graph.ways();
        graph.charge_objects(owners);
        graph
    }

    /// Is it reached?
    pub fn is_reached(&self, node: usize) -> bool {
        self.reached_from[node].is_some()
    }

    /// From which node each node is reached on the shortest way.
    fn ways(&self) -> Vec<Option<Option<usize>>> {
        let mut from = vec![None; self.nodes.len()];
        let mut cost = vec![u32::MAX; self.nodes.len()];
        let mut queue = BinaryHeap::new();
        for &root in &self.roots {
            (from[root], cost[root]) = (Some(None), 0);
            queue.push(Reverse((0, root)));
        }
        while let Some(Reverse((so_far, node))) = queue.pop() {
            if so_far > cost[node] {
                continue;
            }
            for edge in &self.edges[node] {
                let sum = so_far.saturating_add(edge.how.cost());
                if sum < cost[edge.to] {
                    (from[edge.to], cost[edge.to]) = (Some(Some(node)), sum);
                    queue.push(Reverse((sum, edge.to)));
                }
            }
        }
        from
    }

    /// The nodes that are reached without passing through any that `is_away`.
    pub(super) fn reached_without(&self, is_away: impl Fn(&Node) -> bool) -> Vec<bool> {
        let mut reached = vec![false; self.nodes.len()];
        let mut queue: Vec<usize> = self.roots.clone();
        while let Some(node) = queue.pop() {
            if reached[node] || is_away(&self.nodes[node]) {
                continue;
            }
            reached[node] = true;
            queue.extend(self.edges[node].iter().map(|edge| edge.to));
        }
        reached
    }

    /// Data without a name of its own is charged to whoever refers to it.
    fn charge_objects(&mut self, owners: &Owners) {
        let mut charged: Vec<BTreeSet<OwnerId>> = vec![BTreeSet::new(); self.nodes.len()];
        let mut queue: Vec<(usize, OwnerId)> = Vec::new();
        for (node, edges) in self.edges.iter().enumerate().filter(|(node, _)| self.nodes[*node].is_function) {
            let own = self.nodes[node].owner;
            let owner = |edge: &Edge| if edge.owner == UNKNOWN { own } else { edge.owner };
            queue.extend(edges.iter().map(|edge| (edge.to, owner(edge))));
        }
        let named = |node: &Node| !node.is_function && node.owner != UNKNOWN;
        for (node, _) in self.nodes.iter().enumerate().filter(|(_, node)| named(node)) {
            let owner = self.nodes[node].owner;
            queue.extend(self.edges[node].iter().map(|edge| (edge.to, owner)));
        }
        while let Some((node, owner)) = queue.pop() {
            let entry = &self.nodes[node];
            if !entry.is_function && entry.owner == UNKNOWN && charged[node].insert(owner) {
                queue.extend(self.edges[node].iter().map(|edge| (edge.to, owner)));
            }
        }
        for (node, by) in self.nodes.iter_mut().zip(charged) {
            if node.is_function || node.owner != UNKNOWN {
                continue;
            }
            // What std's and one other crate's code refer to is that crate's.
            let mut others = by.iter().filter(|id| !owners.is_std(**id));
            node.owner = match (others.next(), others.next(), by.len()) {
                (Some(only), None, _) => *only,
                (None, _, 1) => by.first().copied().unwrap_or(UNKNOWN),
                (None, _, 0) => UNKNOWN,
                _ => SHARED,
            };
        }
    }

    /// The node that an address lies in.
    pub(super) fn node_at(nodes: &[Node], address: u64) -> Option<usize> {
        let index = nodes.partition_point(|n| n.address <= address).checked_sub(1)?;
        (address - nodes[index].address < nodes[index].length).then_some(index)
    }
}

/// A reference as found: where, to which address, how.
struct Reference {
    place: u64,
    target: u64,
    how: How,
}

struct Builder<'b, 'a> {
    elf: &'b Program<'a>,
    sources: &'b Sources<'a>,
    owners: &'b mut Owners,
    nodes: Vec<Node>,
    names: HashMap<(&'a str, Option<u32>), u32>,
    inlined: Vec<String>,
}

impl<'a> Builder<'_, 'a> {
    /// A node for each function, in the order of addresses.
    fn functions(&mut self) {
        let elf = self.elf;
        let mut symbols: Vec<&[Symbol<'a>]> = elf.functions.chunk_by(|a, b| a.address == b.address).collect();
        symbols.retain(|same| elf.section(same[0].address).is_some_and(|s| s.is_code));
        for (index, same) in symbols.iter().enumerate() {
            let address = same[0].address;
            let section_end = elf.section(address).map_or(address, |s| s.address + s.length);
            let next = symbols.get(index + 1).map_or(section_end, |next| next[0].address).min(section_end);
            // Functions written in assembly have no length: they reach to the next.
            let length = match same.iter().map(|s| s.length).max() {
                None | Some(0) => next - address,
                Some(length) => length.min(next - address),
            };
            let node = self.function(address, length, same);
            self.nodes.push(node);
        }
    }

    fn function(&mut self, address: u64, length: u64, same: &[Symbol<'a>]) -> Node {
        let place = self.sources.place(address);
        let own = self.sources.chain(&place).last().unwrap_or(UNKNOWN);
        let is_plain = own != UNKNOWN && !self.owners.is_std(own);
        let named = || same.iter().find_map(|s| self.owners.in_name(s.name));
        let owner = if is_plain { own } else { named().unwrap_or(own) };
        let owner = match owner {
            UNKNOWN => same.iter().find_map(|s| self.owners.of_symbol(s.name)).unwrap_or(UNKNOWN),
            owner => owner,
        };
        let (mut parts, mut inlined) = (BTreeMap::<OwnerId, u64>::new(), BTreeSet::new());
        let (mut at, end) = (address, address + length);
        while at < end {
            let place = self.sources.place(at);
            let stop = place.end.min(end);
            *parts.entry(self.sources.owner(&place, owner, self.owners)).or_default() += stop - at;
            inlined.extend(self.sources.inlined_at(&place));
            at = stop;
        }
        let inlined: BTreeSet<u32> =
            inlined.into_iter().filter_map(|(index, file)| self.inlined_name(index, file)).collect();
        Node {
            address,
            length,
            is_function: true,
            names: names(same),
            inlined: inlined.into_iter().collect(),
            is_zero: false,
            symbols: same.iter().map(|s| s.name.to_owned()).collect(),
            owner,
            parts: parts.into_iter().collect(),
        }
    }

    fn inlined_name(&mut self, index: u32, file: Option<u32>) -> Option<u32> {
        let key = (self.sources.inlined[index as usize].name, file);
        if let Some(known) = self.names.get(&key) {
            return Some(*known);
        }
        let name = self.sources.inlined_name(index, file, self.owners)?;
        let number = self.inlined.len() as u32;
        self.inlined.push(name);
        self.names.insert(key, number);
        Some(number)
    }

    /// Everything that refers to an address in the program, by where it stands.
    fn references(&self) -> Vec<Reference> {
        let mut all = Vec::new();
        for node in &self.nodes {
            let Some(section) = self.elf.section(node.address) else { continue };
            let start = (node.address - section.address) as usize;
            let Some(code) = section.bytes.get(start..start + node.length as usize) else { continue };
            scan(node.address, code, &mut all);
        }
        for pair in self.nodes.windows(2) {
            // A label inside of a function: what stands before it goes on into it.
            if pair[0].address + pair[0].length == pair[1].address && !self.ends(&pair[0]) {
                all.push(Reference { place: pair[0].address, target: pair[1].address, how: How::FallsInto });
            }
        }
        let pointers = self.elf.pointers.iter();
        all.extend(pointers.map(|&(place, target)| Reference { place, target, how: How::Points }));
        all
    }

    /// Does a function's last instruction leave it for good?
    fn ends(&self, node: &Node) -> bool {
        let code = self.elf.section(node.address).and_then(|section| {
            let start = (node.address - section.address) as usize;
            section.bytes.get(start..start + node.length as usize)
        });
        let mut last = Mnemonic::Nop;
        let mut decoder = Decoder::new(64, code.unwrap_or_default(), DecoderOptions::NONE);
        while decoder.can_decode() {
            last = decoder.decode().mnemonic();
        }
        // A call at the end is one that does not come back.
        matches!(
            last,
            Mnemonic::Ret | Mnemonic::Jmp | Mnemonic::Call | Mnemonic::Ud2 | Mnemonic::Int3 | Mnemonic::Iretq
        )
    }

    /// A node for each object with a name, and for each piece of the rest that begins where something refers to.
    fn objects(&mut self, references: &[Reference]) {
        let elf = self.elf;
        let targets: BTreeSet<u64> = references.iter().map(|r| r.target).collect();
        let is_data = |s: &&super::elf::Section<'_>| !s.is_code && !s.is_thread_local;
        for section in elf.sections.iter().filter(is_data) {
            let (end, mut at) = (section.address + section.length, section.address);
            if section.is_table {
                self.nodes.push(object(at, end - at, Vec::new(), TABLES, section.bytes.is_empty()));
                continue;
            }
            while at < end {
                let after = elf.objects.partition_point(|s| s.address < at);
                let next = elf.objects.get(after).filter(|s| s.address < end);
                if let Some(symbol) = next.filter(|s| s.address == at) {
                    let length = symbol.length.min(end - at);
                    let same: Vec<_> = elf.objects[after..].iter().take_while(|s| s.address == at).cloned().collect();
                    let owner = same.iter().find_map(|s| self.owners.first_in_name(s.name)).unwrap_or(UNKNOWN);
                    self.nodes.push(object(at, length, same, owner, section.bytes.is_empty()));
                    at += length;
                } else {
                    let stop = next.map_or(end, |s| s.address);
                    let stop = targets.range(at + 1..stop).next().copied().unwrap_or(stop);
                    self.nodes.push(object(at, stop - at, Vec::new(), UNKNOWN, section.bytes.is_empty()));
                    at = stop;
                }
            }
        }
        self.nodes.sort_by_key(|n| n.address);
    }

    /// The references between nodes, of several between two the plainest.
    fn edges(&self, references: Vec<Reference>) -> Vec<Vec<Edge>> {
        let mut found: Vec<BTreeMap<usize, Edge>> = vec![BTreeMap::new(); self.nodes.len()];
        for reference in references {
            let ends = [reference.place, reference.target].map(|address| Graph::node_at(&self.nodes, address));
            let [Some(from), Some(to)] = ends else { continue };
            if from == to || self.nodes[from].owner == TABLES {
                continue;
            }
            let is_code = self.nodes[from].is_function;
            let place = self.sources.place(reference.place);
            let owner = if is_code { self.sources.owner(&place, self.nodes[from].owner, self.owners) } else { UNKNOWN };
            let edge = Edge { to, how: reference.how, line: line(&place, is_code), owner };
            found[from].entry(to).and_modify(|e| *e = if edge.how < e.how { edge } else { *e }).or_insert(edge);
        }
        found.into_iter().map(|edges| edges.into_values().collect()).collect()
    }

    fn roots(&self) -> Vec<usize> {
        let early = self.elf.sections.iter().filter(|s| matches!(s.name, ".init_array" | ".preinit_array"));
        let early = early.flat_map(|s| {
            self.nodes.iter().enumerate().filter(|(_, n)| n.address >= s.address && n.address < s.address + s.length)
        });
        Graph::node_at(&self.nodes, self.elf.entry).into_iter().chain(early.map(|(index, _)| index)).collect()
    }
}

fn line(place: &Place, is_code: bool) -> Option<(u32, u32)> {
    place.file.filter(|(_, line)| is_code && *line != 0)
}

fn names(same: &[Symbol<'_>]) -> Vec<String> {
    let mut names: Vec<String> = same.iter().map(|s| readable(s.name)).collect();
    names.dedup();
    names
}

fn object(address: u64, length: u64, same: Vec<Symbol<'_>>, owner: OwnerId, is_zero: bool) -> Node {
    let symbols = same.iter().map(|s| s.name.to_owned()).collect();
    let names = names(&same);
    Node { address, length, is_function: false, names, inlined: Vec::new(), is_zero, symbols, owner, parts: Vec::new() }
}

/// What a function's code refers to.
fn scan(address: u64, code: &[u8], all: &mut Vec<Reference>) {
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let end = address + code.len() as u64;
    while decoder.can_decode() {
        let instruction = decoder.decode();
        let place = instruction.ip();
        if instruction.is_ip_rel_memory_operand() {
            let target = instruction.ip_rel_memory_address();
            all.push(Reference { place, target, how: How::Refers });
        }
        if instruction.op_count() > 0 && matches!(instruction.op0_kind(), OpKind::NearBranch64) {
            let target = instruction.near_branch_target();
            if !(address..end).contains(&target) {
                all.push(Reference { place, target, how: How::Calls });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_scanned() {
        // 0x1000: lea rax, [rip+0x100]; call 0x2000; jmp 0x100c (itself); jne 0x3000
        let mut code = vec![0x48, 0x8d, 0x05, 0, 1, 0, 0, 0xe8, 0xf4, 0x0f, 0, 0, 0xeb, 0xfe];
        code.extend([0x0f, 0x85, 0xec, 0x1f, 0, 0]);
        let mut all = Vec::new();
        scan(0x1000, &code, &mut all);
        let all: Vec<_> = all.iter().map(|r| (r.place, r.target, r.how)).collect();
        assert_eq!(all, [(0x1000, 0x1107, How::Refers), (0x1007, 0x2000, How::Calls), (0x100e, 0x3000, How::Calls)]);
    }
}
