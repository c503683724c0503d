//! Frontend messages after the startup: one byte of type, four of length, a body. Lengths and counts are checked here, so that no
//! caller reads past the end of a message. The messages of the startup are in `login`.

use bytes::Bytes;

use crate::cursor::{DecodeError, MessageCursor};
use crate::transport::{Transport, TransportError};

/// Type and length.
const HEADER: usize = 5;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum FrontendMessage {
    Query(String),
    Parse(Parse),
    Bind(Bind),
    Describe(StatementOrPortal),
    Execute {
        portal: String,
        max_rows: usize,
    },
    Close(StatementOrPortal),
    Flush,
    Sync,
    Terminate,
    /// A password or a step of SCRAM. The log-in knows which.
    Password(Bytes),
    /// CopyData, CopyDone or CopyFail of a COPY that was refused. They are skipped.
    Copy,
    Unknown(u8),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parse {
    pub(super) name: String,
    pub(super) query: String,
    /// Object ids of the parameters' types. 0 is unspecified.
    pub(super) types: Vec<u32>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bind {
    pub(super) portal: String,
    pub(super) statement: String,
    pub(super) formats: Vec<i16>,
    pub(super) values: Vec<Option<Bytes>>,
    pub(super) result_formats: Vec<i16>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum StatementOrPortal {
    Statement(String),
    Portal(String),
}

impl FrontendMessage {
    /// Returns whether the message belongs to the extended protocol. After an error these are skipped up to the next Sync.
    pub(super) fn is_extended(&self) -> bool {
        matches!(
            self,
            FrontendMessage::Parse(_)
                | FrontendMessage::Bind(_)
                | FrontendMessage::Describe(_)
                | FrontendMessage::Execute { .. }
                | FrontendMessage::Close(_)
                | FrontendMessage::Flush
        )
    }
}

pub(super) async fn read(transport: &mut Transport) -> Result<FrontendMessage, TransportError> {
    transport.need(HEADER).await?;
    let kind = transport.input[0];
    let length =
        u32::from_be_bytes([transport.input[1], transport.input[2], transport.input[3], transport.input[4]]) as usize;
    // The length counts itself but not the type.
    if length < 4 {
        return Err(TransportError::Malformed("length of a message"));
    }
    transport.need(length + 1).await?;
    let body = transport.take(length + 1).freeze().slice(HEADER..);
    Ok(decode(kind, &body)?)
}

fn decode(kind: u8, body: &Bytes) -> Result<FrontendMessage, DecodeError> {
    let mut cursor = MessageCursor::new(body);
    Ok(match kind {
        b'Q' => FrontendMessage::Query(cursor.text("text of a query")?),
        b'P' => FrontendMessage::Parse(parse(&mut cursor)?),
        b'B' => FrontendMessage::Bind(bind(body, &mut cursor)?),
        b'D' => FrontendMessage::Describe(target(&mut cursor)?),
        b'E' => FrontendMessage::Execute {
            portal: cursor.text("name of a portal")?,
            // Zero and less: all.
            max_rows: usize::try_from(cursor.i32_be("number of rows")?).unwrap_or(0),
        },
        b'C' => FrontendMessage::Close(target(&mut cursor)?),
        b'H' => FrontendMessage::Flush,
        b'S' => FrontendMessage::Sync,
        b'X' => FrontendMessage::Terminate,
        b'p' => FrontendMessage::Password(body.clone()),
        b'd' | b'c' | b'f' => FrontendMessage::Copy,
        other => FrontendMessage::Unknown(other),
    })
}

fn parse(cursor: &mut MessageCursor<'_>) -> Result<Parse, DecodeError> {
    let name = cursor.text("name of a statement")?;
    let query = cursor.text("text of a query")?;
    let count = cursor.u16_be("number of parameter types")?;
    let types = (0..count).map(|_| cursor.u32_be("type of a parameter")).collect::<Result<_, _>>()?;
    Ok(Parse { name, query, types })
}

fn bind(body: &Bytes, cursor: &mut MessageCursor<'_>) -> Result<Bind, DecodeError> {
    let portal = cursor.text("name of a portal")?;
    let statement = cursor.text("name of a statement")?;
    let formats = formats(cursor)?;
    let count = cursor.u16_be("number of parameters")?;
    let values = (0..count).map(|_| value(body, cursor)).collect::<Result<Vec<_>, _>>()?;
    let result_formats = self::formats(cursor)?;
    if formats.len() > 1 && formats.len() != values.len() {
        return Err(DecodeError("number of parameter formats"));
    }
    Ok(Bind { portal, statement, formats, values, result_formats })
}

fn formats(cursor: &mut MessageCursor<'_>) -> Result<Vec<i16>, DecodeError> {
    let count = cursor.u16_be("number of formats")?;
    (0..count)
        .map(|_| match cursor.i16_be("format")? {
            format @ (0 | 1) => Ok(format),
            _ => Err(DecodeError("format, which is 0 for text or 1 for binary")),
        })
        .collect()
}

fn value(body: &Bytes, cursor: &mut MessageCursor<'_>) -> Result<Option<Bytes>, DecodeError> {
    let Ok(length) = usize::try_from(cursor.i32_be("length of a parameter")?) else {
        return Ok(None);
    };
    Ok(Some(body.slice_ref(cursor.take(length, "parameter")?)))
}

fn target(cursor: &mut MessageCursor<'_>) -> Result<StatementOrPortal, DecodeError> {
    let kind = cursor.u8("kind of target")?;
    let name = cursor.text("name of a target")?;
    match kind {
        b'S' => Ok(StatementOrPortal::Statement(name)),
        b'P' => Ok(StatementOrPortal::Portal(name)),
        _ => Err(DecodeError("kind of target, which is S or P")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_parse_and_bind() {
        let parse = Bytes::from_static(b"s\0select $1\0\0\x01\0\0\0\x14");
        assert_eq!(
            decode(b'P', &parse),
            Ok(FrontendMessage::Parse(Parse { name: "s".to_owned(), query: "select $1".to_owned(), types: vec![20] }))
        );
        let bind = Bytes::from_static(b"\0s\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\0");
        let Ok(FrontendMessage::Bind(read)) = decode(b'B', &bind) else {
            panic!("no bind");
        };
        assert_eq!(read.values, [Some(Bytes::from_static(b"x")), None]);
        assert_eq!((read.formats, read.result_formats), (vec![1], vec![]));
        for end in 0..bind.len() {
            assert!(decode(b'B', &bind.slice(..end)).is_err(), "{end}");
        }
    }

    #[test]
    fn odd_messages_are_errors_not_panics() {
        assert!(decode(b'Q', &Bytes::from_static(b"no zero")).is_err());
        assert!(decode(b'D', &Bytes::from_static(b"Xname\0")).is_err());
        assert!(decode(b'E', &Bytes::from_static(b"p\0\0\0")).is_err());
        assert_eq!(decode(b'?', &Bytes::new()), Ok(FrontendMessage::Unknown(b'?')));
        let mismatch = Bytes::from_static(b"\0\0\0\x02\0\0\0\0\0\x01\xff\xff\xff\xff\0\0");
        assert!(decode(b'B', &mismatch).is_err());
    }
}
