//! `std::io`: traits, adaptors, buffers, pipes.

use crate::{Case, outcome, saw};
use std::io::{
    self, BufRead, BufReader, BufWriter, Cursor, ErrorKind, IoSlice, LineWriter, Read, Seek, SeekFrom, Write, pipe,
};
use std::thread;

pub(crate) const CASES: &[Case] = &[
    ("Read's adaptors", adaptors),
    ("BufReader", buf_reader),
    ("BufWriter", buf_writer),
    ("LineWriter", line_writer),
    ("Cursor and Seek", cursor),
    ("io::copy, empty, repeat, sink", copy),
    ("io::pipe", pipes),
    ("io::pipe, full and broken", broken_pipes),
];

fn adaptors() {
    let mut text = String::new();
    (&b"chained "[..]).chain(&b"and taken away"[..]).take(17).read_to_string(&mut text).unwrap();
    saw!("chain and take", text);
    saw!("bytes", (&b"abc"[..]).bytes().collect::<Result<Vec<_>, _>>().unwrap());
    let mut source = &b"by reference"[..];
    let mut two = [0; 2];
    source.by_ref().take(2).read_exact(&mut two).unwrap();
    saw!("by_ref", (two, source.len()));
    saw!("no text", outcome((&[0xff, 0xfe][..]).read_to_string(&mut String::new())));
    saw!("too short", outcome((&b"ab"[..]).read_exact(&mut [0; 3])));
    saw!("io::read_to_string", outcome(io::read_to_string(&b"whole"[..])));
}

fn buf_reader() {
    let mut reader = BufReader::with_capacity(4, &b"one\ntwo\r\nthree"[..]);
    let mut line = String::new();
    saw!("read_line", (reader.read_line(&mut line).unwrap(), line));
    saw!("buffer", (reader.buffer().to_vec(), reader.capacity()));
    saw!("lines", reader.lines().collect::<Result<Vec<_>, _>>().unwrap());
    saw!("split", BufReader::new(&b"a,b,,c"[..]).split(b',').collect::<Result<Vec<_>, _>>().unwrap());
    let mut seeking = BufReader::new(Cursor::new((0..100).collect::<Vec<u8>>()));
    seeking.seek_relative(50).unwrap();
    let mut byte = [0];
    seeking.read_exact(&mut byte).unwrap();
    saw!("seek_relative", (byte, seeking.stream_position().unwrap()));
    saw!("skip_until", BufReader::new(&b"skip;rest"[..]).skip_until(b';').unwrap());
}

struct Slow(Vec<u8>);

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(3);
        self.0.extend(&bytes[..taken]);
        if self.0.len() > 20 { Err(ErrorKind::StorageFull.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn buf_writer() {
    let mut writer = BufWriter::with_capacity(8, Vec::new());
    writer.write_all(b"12345").unwrap();
    saw!("held back", (writer.get_ref().len(), writer.buffer().to_vec()));
    writer.write_all(b"67890").unwrap();
    saw!("passed on", (writer.get_ref().len(), writer.buffer().to_vec()));
    saw!("into_inner", writer.into_inner().map(|v| v.len()).unwrap());
    let mut failing = BufWriter::new(Slow(Vec::new()));
    failing.write_all(&[7; 30]).unwrap();
    saw!("flush", outcome(failing.flush()));
    let (inner, left) = failing.into_parts();
    saw!("into_parts", (inner.0.len(), left.map(|l| l.len()).ok()));
}

fn line_writer() {
    let mut writer = LineWriter::new(Vec::new());
    writer.write_all(b"no end yet").unwrap();
    saw!("held back", writer.get_ref().len());
    writer.write_all(b", now\nand more").unwrap();
    saw!("passed on", writer.get_ref().len());
    saw!("all", writer.into_inner().map(|v| v.len()).unwrap());
}

fn cursor() {
    let mut cursor = Cursor::new(vec![1, 2, 3]);
    saw!("end", cursor.seek(SeekFrom::End(-1)).unwrap());
    cursor.write_all(&[9, 9]).unwrap();
    saw!("grown", cursor.get_ref());
    saw!("rewind", (cursor.rewind().is_ok(), cursor.stream_position().unwrap()));
    saw!("before the start", outcome(cursor.seek(SeekFrom::Current(-1))));
    let mut fixed = [0; 4];
    let mut cursor = Cursor::new(&mut fixed[..]);
    saw!("a fixed end", (cursor.write(&[1; 6]).unwrap(), outcome(cursor.write_all(&[1]))));
    let parts = [IoSlice::new(b"a"), IoSlice::new(b"bc")];
    saw!("write_vectored", Cursor::new(Vec::new()).write_vectored(&parts).unwrap());
}

fn copy() {
    let mut to = Vec::new();
    saw!("copy", outcome(io::copy(&mut &b"from here"[..], &mut to)));
    saw!("repeat", outcome(io::copy(&mut io::repeat(5).take(100_000), &mut io::sink())));
    saw!("empty", outcome(io::copy(&mut io::empty(), &mut io::sink())));
    let (mut reader, mut writer) = pipe().unwrap();
    let sender = thread::spawn(move || io::copy(&mut io::repeat(1).take(300_000), &mut writer).unwrap());
    saw!("through a pipe", outcome(io::copy(&mut reader, &mut io::sink())));
    saw!("sent", sender.join().unwrap());
}

fn pipes() {
    let (mut reader, mut writer) = pipe().unwrap();
    writer.write_all(b"ping").unwrap();
    let mut other = writer.try_clone().unwrap();
    other.write_all(b"pong").unwrap();
    let mut buffer = [0; 8];
    reader.read_exact(&mut buffer).unwrap();
    saw!("both writers", String::from_utf8_lossy(&buffer));
    drop(writer);
    other.write_all(b".").unwrap();
    drop(other);
    let mut rest = Vec::new();
    saw!("to the end", (reader.read_to_end(&mut rest).unwrap(), rest));
    saw!("at the end", outcome(reader.read(&mut buffer)));
    let (mut reader, writer) = pipe().unwrap();
    let waiting = thread::spawn(move || reader.read(&mut [0; 4]).unwrap());
    thread::sleep(std::time::Duration::from_millis(3));
    drop(writer);
    saw!("an end wakes a reader", waiting.join().unwrap());
    let (mut reader, mut writer) = pipe().unwrap();
    let parts = [IoSlice::new(b"vec"), IoSlice::new(b"tored")];
    saw!("write_vectored", writer.write_vectored(&parts).unwrap());
    saw!("a second reader", outcome(reader.try_clone().unwrap().read(&mut buffer)));
    drop(writer);
    saw!("the first", outcome(reader.read(&mut buffer)));
}

fn broken_pipes() {
    let (reader, mut writer) = pipe().unwrap();
    drop(reader);
    saw!("nobody reads", outcome(writer.write(b"x")));
    saw!("nothing", outcome(writer.write(b"")));
    let (mut reader, mut writer) = pipe().unwrap();
    let sender = thread::spawn(move || {
        let block: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
        writer.write_all(&block).unwrap();
    });
    let mut sum = 0u64;
    let mut buffer = [0; 777];
    loop {
        match reader.read(&mut buffer).unwrap() {
            0 => break,
            n => sum += buffer[..n].iter().map(|b| u64::from(*b)).sum::<u64>(),
        }
    }
    sender.join().unwrap();
    saw!("more than fits", sum);
    let (mut reader, mut writer) = pipe().unwrap();
    let sender = thread::spawn(move || writer.write_all(&vec![0; 300_000]).map_err(|e| e.kind()));
    reader.read_exact(&mut buffer).unwrap();
    drop(reader);
    saw!("a waiting writer", sender.join().unwrap());
}
