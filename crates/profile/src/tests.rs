//! Builders of profiles for the tests of this crate, and the tests of whole formats, one file each.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{Frame, Location, Profile, ProfileModule, Stack, Values};

mod flame_graphs;
mod limits;
mod pprof_files;

/// Names that would do harm in a format that does not escape them.
pub(crate) const HOSTILE: [&str; 7] = [
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "\"><svg onload='alert(1)'>",
    "]]></style><style>*{display:none}",
    "a;b\nc d 77\r\u{0}\u{1b}[31m\u{fffe}",
    "${alert(1)}`\\\u{2028}\u{2029}",
    "&lt;&amp;&#x3c;script&#x3e;",
];

/// A stack of frames, the outermost first, with so many live bytes in half as many allocations.
pub(crate) fn stack_of(frames: &str, live_bytes: f64) -> Stack {
    let locations = frames.split(';').rev().filter(|name| !name.is_empty()).map(location_of).map(Arc::new).collect();
    let values = Values { live_bytes, live_count: live_bytes / 2.0, ..Values::default() };
    Stack { locations, label: "glibc_malloc".into(), server: "".into(), pid: 42, command: "./app".into(), values }
}

pub(crate) fn location_of(function: &str) -> Location {
    let frame = Frame { function: function.into(), file: Some("src/app.c".into()), line: Some(7), is_inline: false };
    Location { module: 0, address: 0x1000, frames: vec![frame] }
}

pub(crate) fn profile_of(stacks: impl IntoIterator<Item = Stack>) -> Profile {
    let mut profile = Profile::new("pid 42 ./app", SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    let (start, end) = (0x5555_0000_0000, 0x5555_0010_0000);
    profile.modules = vec![ProfileModule {
        path: "/opt/app".to_owned(),
        build_id: "c0ffee".to_owned(),
        start,
        end,
        load_bias: start,
    }];
    profile.intervals = Some((16, 256));
    profile.stacks = stacks.into_iter().collect();
    profile
}
