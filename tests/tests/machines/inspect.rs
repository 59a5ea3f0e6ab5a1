//! What `ampoule inspect` tells of real images, and its page in a real browser.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use ampoule_tests::browser;
use ampoule_tests::harness::{Case, Verdict};
use ampoule_tests::tool;
use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use cyclonedx_bom::models::bom::Bom;
use cyclonedx_bom::validation::Validate;
use serde_json::Value;

const WEB: &str = "examples/web";

pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn() -> Result<()>| {
        Case::new(format!("inspect {name}"), move || run().map(|()| Verdict::Passed))
    };
    vec![
        case("tells sizes that add up", sizes),
        case("tells what an image can ask for", reach),
        case("tells why", reasons),
        case("tells what grew", growth),
        case("writes a bill of materials", || bill(&said(&[&web()?, "--bom", "-"])?)),
        case("says what is missing or wrong", refusals),
        Case::new("inspect's page in a browser", in_a_browser),
    ]
}

fn web() -> Result<String> {
    Ok(tool::image(WEB)?.to_string_lossy().into_owned())
}

fn run(arguments: &[&str]) -> Result<(i32, String, String)> {
    let output = Command::new(tool::tool()?).arg("inspect").args(arguments).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code().context("a status")?, text(&output.stdout), text(&output.stderr)))
}

fn said(arguments: &[&str]) -> Result<String> {
    let (status, output, errors) = run(arguments)?;
    ensure!(status == 0 && errors.is_empty(), "{arguments:?}: {status}\n{errors}");
    Ok(output)
}

fn facts(image: &str) -> Result<Value> {
    Ok(serde_json::from_str(&said(&[image, "--json"])?)?)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(u64::MAX)
}

fn sizes() -> Result<()> {
    let image = web()?;
    let facts = facts(&image)?;
    let file = &facts["file"];
    let length = fs::metadata(&image)?.len();
    ensure!(number(&file["bytes"]) == length, "{file}");
    ensure!(["loaders", "information", "program"].iter().map(|part| number(&file[*part])).sum::<u64>() == length);
    let crates = facts["contents"]["crates"].as_array().context("crates")?;
    for part in ["text", "data", "zero", "debug"] {
        let sum: u64 = crates.iter().map(|entry| number(&entry[part])).sum();
        ensure!(sum == number(&facts["contents"]["total"][part]), "{part}");
    }
    // The program's part of the file is its text and data, and less than a page between segments.
    let inside = number(&facts["contents"]["total"]["text"]) + number(&facts["contents"]["total"]["data"]);
    let program = number(&file["program"]);
    ensure!(program.abs_diff(inside) < 4096 && inside > 500_000, "{inside} of {program}");
    let tokio = crates.iter().find(|entry| entry["name"] == "tokio").context("tokio")?;
    ensure!(tokio["library"] == "crates" && number(&tokio["text"]) > 20_000, "{tokio:.300}");
    ensure!(number(&tokio["brings"]) > number(&tokio["text"]));
    let lines = &tokio["unsafe_lines"];
    ensure!(number(&lines["in_image"]) > 10 && number(&lines["in_sources"]) > 500, "{lines}");
    let unknown = crates.iter().filter(|entry| entry["library"] == "no crate").map(|entry| number(&entry["text"]));
    ensure!(unknown.sum::<u64>() * 20 < inside, "more than a twentieth of the code is nobody's");
    // Of the project's own services none holds unsafe code, and nobody has std's sources.
    let own = |name: &str| crates.iter().find(|entry| entry["name"] == name).map(|entry| &entry["unsafe_lines"]);
    ensure!(own("ampoule-posix").is_some_and(|lines| number(&lines["in_sources"]) == 0));
    ensure!(own("std").is_some_and(Value::is_null));
    Ok(())
}

fn reach() -> Result<()> {
    let web = facts(&web()?)?;
    let hello = facts(&tool::image("examples/hello-oneline")?.to_string_lossy())?;
    let drivers = |facts: &Value| -> Vec<String> {
        let devices = facts["contents"]["devices"].as_array().cloned().unwrap_or_default();
        let with = devices.iter().filter(|device| device["driver"] == true);
        with.filter_map(|device| device["name"].as_str().map(String::from)).collect()
    };
    ensure!(drivers(&web).contains(&"host sockets".into()), "{:?}", drivers(&web));
    ensure!(drivers(&hello) == ["console"], "{:?}", drivers(&hello));
    let has = |facts: &Value, list: &str, name: &str| {
        facts["contents"][list].as_array().is_some_and(|all| all.iter().any(|entry| entry == name))
    };
    for symbol in ["epoll_wait", "socket", "write"] {
        ensure!(has(&web, "libc_symbols", symbol), "{symbol}");
    }
    ensure!(!has(&hello, "libc_symbols", "socket") && !has(&hello, "libc_symbols", "epoll_wait"));
    for call in ["exit", "wait", "upcall"] {
        ensure!(has(&web, "gate_calls", call) && has(&hello, "gate_calls", call), "{call}");
    }
    Ok(())
}

fn reasons() -> Result<()> {
    let image = web()?;
    for (asked, passes, end) in
        [("tokio", "main", "tokio"), ("epoll_wait", "main", "epoll_wait"), ("ampoule-net", "socket", "ampoule_net")]
    {
        let answer: Value = serde_json::from_str(&said(&[&image, "--why", asked, "--json"])?)?;
        let steps = answer["steps"].as_array().context("steps")?;
        let names: Vec<&str> = steps.iter().filter_map(|step| step["name"].as_str()).collect();
        ensure!(names.first() == Some(&"_start"), "{asked}: {names:?}");
        ensure!(names.iter().any(|name| name.contains(passes)), "{asked}: {names:?}");
        ensure!(names.last().is_some_and(|name| name.contains(end)), "{asked}: {names:?}");
    }
    let text = said(&[&image, "--why", "tokio"])?;
    ensure!(text.contains("  starts at  _start\n") && text.contains("would not be in the image"), "{text}");
    Ok(())
}

fn growth() -> Result<()> {
    let (small, large) = (tool::image("examples/hello-oneline")?, tool::image(WEB)?);
    let (small, large) = (small.to_string_lossy(), large.to_string_lossy());
    let diff: Value = serde_json::from_str(&said(&["--diff", &small, &large, "--json"])?)?;
    let crates = diff["crates"].as_array().context("crates")?;
    let growth: Vec<i64> = crates.iter().filter_map(|change| change["growth"].as_i64()).collect();
    ensure!(growth.is_sorted_by(|a, b| a >= b) && growth[0] > 50_000, "{growth:?}");
    let tokio = crates.iter().find(|change| change["name"] == "tokio").context("tokio")?;
    ensure!(number(&tokio["before"]) == 0 && number(&tokio["after"]) > 0, "{tokio}");
    ensure!(diff["functions"].as_array().is_some_and(|all| all.len() > 100));
    let none = said(&["--diff", &large, &large])?;
    ensure!(none.matches("nothing").count() == 2, "{none}");
    Ok(())
}

/// Another implementation's opinion of a bill, and that it names what it must.
fn bill(text: &str) -> Result<()> {
    let bom = Bom::parse_from_json(text.as_bytes())?;
    let result = bom.validate();
    ensure!(result.passed(), "{result:?}");
    let value: Value = serde_json::from_str(text)?;
    let components = value["components"].as_array().context("components")?;
    let find = |name: &str| components.iter().find(|component| component["name"] == name);
    let tokio = find("tokio").context("tokio")?;
    ensure!(tokio["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:cargo/tokio@1.")), "{tokio}");
    ensure!(tokio["hashes"][0]["content"].as_str().is_some_and(|hash| hash.len() == 64), "{tokio}");
    ensure!(tokio["licenses"][0]["expression"] == "MIT", "{tokio}");
    for name in ["web", "ampoule-posix", "ampoule-exokernel", "talc", "rust-std"] {
        ensure!(find(name).is_some(), "{name} is missing");
    }
    // What runs in the compiler is not in the image.
    ensure!(find("tokio-macros").is_none() && find("syn").is_none());
    let references: Vec<&Value> = components.iter().map(|c| &c["bom-ref"]).collect();
    for dependency in value["dependencies"].as_array().context("dependencies")? {
        for on in dependency["dependsOn"].as_array().into_iter().flatten() {
            ensure!(references.contains(&on), "{on} is no component");
        }
    }
    Ok(())
}

/// A folder for this test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("ampoule-inspect-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn refusals() -> Result<()> {
    let folder = Folder::new("refusals")?;
    let place = |name: &str| folder.0.join(name).to_string_lossy().into_owned();
    let (image, debug) = (place("hello.img"), place("hello.debug"));
    let hello = tool::image("examples/hello-oneline")?;
    let bytes = fs::read(&hello)?;
    fs::write(&image, &bytes)?;
    // Without its debug file: what the image says, a warning, and for more a reason.
    let (status, output, errors) = run(&[&image])?;
    ensure!(
        status == 0
            && output.contains("\nSegments\n")
            && errors.contains("there is no ")
            && errors.contains("build again"),
        "{errors}"
    );
    let html = place("hello.html");
    ensure!(
        run(&[&image, "--html", &html])?.0 == 0 && fs::read_to_string(&html)?.contains("What lies inside is not known")
    );
    for more in [&["--why", "core"][..], &["--bom", "-"]] {
        let (status, _, errors) = run(&[&[image.as_str()], more].concat())?;
        ensure!(status == 2 && errors.contains("there is no "), "{more:?}: {status} {errors}");
    }
    // With another's.
    fs::copy(tool::image(WEB)?.with_extension("debug"), &debug)?;
    let (status, _, errors) = run(&[&image, "--why", "core"])?;
    ensure!(status == 2 && errors.contains("belongs to another image; build both again"), "{status} {errors}");
    // With half of its own.
    let own = fs::read(hello.with_extension("debug"))?;
    fs::write(&debug, &own[..own.len() / 2])?;
    let (status, _, errors) = run(&[&image, "--why", "core"])?;
    ensure!(status == 2 && errors.contains("not a debug file"), "{status} {errors}");
    fs::write(&debug, &own)?;
    let (status, _, errors) = run(&[&image, "--why", "coer"])?;
    ensure!(status == 2 && errors.contains("called `coer`") && errors.contains("`core`"), "{status} {errors}");
    // A damaged image, and none.
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    fs::write(&image, &damaged)?;
    for more in [&[][..], &["--why", "core"], &["--json"], &["--bom", "-"]] {
        let (status, output, errors) = run(&[&[image.as_str()], more].concat())?;
        ensure!(status == 2 && output.is_empty() && errors.contains("its digest is wrong"), "{more:?}: {errors}");
    }
    fs::write(&image, &bytes[..1000])?;
    let (status, _, errors) = run(&["--diff", &hello.to_string_lossy(), &image])?;
    ensure!(status == 2 && errors.starts_with(&format!("error: {image}: ")), "{status} {errors}");
    Ok(())
}

/// A page that opens another in two frames, a phone's and a desk's, tries it, and writes what it found.
const PROBE: &str = include_str!("probe.html");

fn in_a_browser() -> Result<Verdict> {
    let chromium = match browser::find()? {
        Ok(chromium) => chromium,
        Err(skipped) => return Ok(skipped),
    };
    let folder = Folder::new("page")?;
    let page = folder.0.join("web.html");
    said(&[&web()?, "--html", &page.to_string_lossy()])?;
    let html = fs::read_to_string(&page)?;
    for start in ["http://", "https://", "//cdn", "@import", "url("] {
        // The name of SVG's elements looks like an address, and is none.
        let is_name = |at: usize| html[at..].starts_with("http://www.w3.org/2000/svg");
        let is_link = |at: usize| html[..at].ends_with(['"', '\'', '(']);
        let outside = html.match_indices(start).find(|(at, _)| is_link(*at) && !is_name(*at));
        ensure!(outside.is_none(), "the page wants something from elsewhere: {start}");
    }
    let wrapper = folder.0.join("probe.html");
    fs::write(&wrapper, PROBE.replace("PAGE", &base64::engine::general_purpose::STANDARD.encode(&html)))?;
    let crates = facts(&web()?)?["contents"]["crates"].as_array().map_or(0, Vec::len);
    let mut backgrounds = Vec::new();
    for is_dark in [false, true] {
        let found = browser::probed(&chromium, &wrapper, is_dark)?;
        for frame in ["narrow", "wide"] {
            check(&found[frame], crates).with_context(|| format!("{frame}, dark: {is_dark}"))?;
        }
        ensure!(number(&found["narrow"]["wide"]) == 0 && number(&found["wide"]["wide"]) > 0);
        ensure!(found["narrow"]["background"] != found["narrow"]["ink"]);
        backgrounds.push(found["narrow"]["background"].clone());
    }
    ensure!(backgrounds[0] != backgrounds[1], "day and night look alike: {backgrounds:?}");
    Ok(Verdict::Passed)
}

fn check(found: &Value, crates: usize) -> Result<()> {
    let count = |name: &str| number(&found[name]) as usize;
    ensure!(count("rows") == crates, "{} rows for {crates} crates", count("rows"));
    ensure!(count("packages") > 30 && count("segments") >= 4 && count("terms") >= 5, "tables are missing");
    ensure!(count("tiles") > 40, "{} tiles", count("tiles"));
    let labels = found["labels"].as_array().context("labels")?;
    ensure!(labels.iter().any(|label| label == "tokio") && labels.iter().any(|label| label == "core"), "{labels:?}");
    ensure!(count("spilling") == 0, "{} labels spill", count("spilling"));
    ensure!(found["right"] == true, "numbers are not at the right");
    for overflow in ["overflow", "detailOverflow", "openOverflow"] {
        ensure!(count(overflow) == 0, "{overflow}: {} px too wide", found[overflow]);
    }
    let detail = found["detail"].as_str().unwrap_or_default();
    ensure!(detail.contains("Why tokio is there") && detail.contains("_start"), "{detail:.300}");
    ensure!(found["path"].as_str().is_some_and(|path| path.starts_with("all crates › tokio")), "{}", found["path"]);
    ensure!(count("inside") > 20 && count("again") == count("tiles") && found["hidden"] == true, "the way back");
    ensure!(found["download"] == "web.cdx.json");
    let encoded = found["bom"].as_str().and_then(|url| url.split_once(";base64,")).context("no data URL")?.1;
    bill(std::str::from_utf8(&base64::engine::general_purpose::STANDARD.decode(encoded)?)?)
}
