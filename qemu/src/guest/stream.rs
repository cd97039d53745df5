// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Reads the guest's events, byte for byte: a line is an event only if it is exactly what the
//! writer would have written for it.

use memfd_seals::events::Event;

/// An event, and where its line starts.
#[derive(Debug)]
pub struct Line {
    pub event: Event,
    /// The number of bytes before it.
    pub at: usize,
}

/// Where reading stopped, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Bad {
    /// 1-based.
    pub line: usize,
    pub why: String,
    /// The stream ended within this line.
    pub cut: bool,
}

/// Everything up to the first bad line.
#[derive(Debug, Default)]
pub struct Stream {
    pub lines: Vec<Line>,
    pub bad: Option<Bad>,
}

/// Parses a stream's bytes. Never fails: what can't be read ends up in `bad`.
pub fn parse(bytes: &[u8]) -> Stream {
    let mut stream = Stream::default();
    let mut at = 0;
    for raw in bytes.split_inclusive(|b| *b == b'\n') {
        match event(raw) {
            Ok(event) => stream.lines.push(Line { event, at }),
            Err((why, cut)) => {
                stream.bad = Some(Bad { line: stream.lines.len() + 1, why, cut });
                break;
            }
        }
        at += raw.len();
    }
    stream
}

fn event(raw: &[u8]) -> Result<Event, (String, bool)> {
    let Some(line) = raw.strip_suffix(b"\n") else {
        return Err((format!("cut short after {} bytes", raw.len()), true));
    };
    let refuse = |why: String| (format!("{why}: {}", shown(line)), false);
    let event: Event = serde_json::from_slice(line).map_err(|e| refuse(e.to_string()))?;
    let again = serde_json::to_vec(&event).map_err(|e| refuse(e.to_string()))?;
    // JSON has many spellings for one value; the writer has one. Any other was not its own.
    if again != line {
        return Err(refuse("not as the suite writes it".to_owned()));
    }
    Ok(event)
}

/// The start of a line, fit to be printed.
fn shown(line: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(line).chars().take(80).collect();
    text.escape_debug().to_string()
}
