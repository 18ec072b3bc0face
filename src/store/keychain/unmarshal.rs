//! Bytes from the bus to D-Bus messages and values: as much as reading one
//! secret takes. Pure. Calls are written by `marshal.rs`.
//!
//! What comes from the bus is hostile until proven: every length is checked
//! against what is there, more than 1 MiB is refused, nothing recurses, nothing
//! panics. Source: D-Bus specification, "Marshaling" and "Message Format".

/// No message of a keychain that awskeep reads comes near this, in bytes.
pub const MAX_MESSAGE: usize = 1 << 20;
/// How much of a message tells how long it is, in bytes.
pub const PREFIX: usize = 16;

const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const SIGNATURE: u8 = 8;

/// The bytes are no message of the kind that was expected; says what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

type Parsed<T> = Result<T, Malformed>;

/// A message that was received; borrows its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    pub kind: MessageKind<'a>,
    signature: &'a str,
    body: Cursor<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind<'a> {
    /// The answer to the call with this serial.
    Return { to: u32 },
    /// The refusal of the call with this serial.
    Error { to: u32, name: &'a str },
    /// A signal, a call, or what a later protocol brings: nothing for us.
    Other,
}

/// The whole length of the message that starts like this.
///
/// # Errors
/// If it is no D-Bus message, or too long.
pub fn message_length(prefix: &[u8; PREFIX]) -> Parsed<usize> {
    let mut cursor = Cursor::new(prefix, order(prefix[0])?);
    cursor.at = 3;
    if cursor.byte()? != 1 {
        return Err(Malformed("an unknown protocol version"));
    }
    let body = cursor.length()?;
    cursor.uint()?;
    let fields = cursor.length()?;
    let whole = (PREFIX + fields).next_multiple_of(8) + body;
    if whole > MAX_MESSAGE {
        return Err(Malformed("a message of more than 1 MiB"));
    }
    Ok(whole)
}

impl<'a> Message<'a> {
    /// Takes a message apart that is exactly as long as `message_length` said.
    ///
    /// # Errors
    /// If its header contradicts itself.
    pub fn parse(bytes: &'a [u8]) -> Parsed<Message<'a>> {
        let prefix = bytes
            .first_chunk::<PREFIX>()
            .ok_or(Malformed("a cut header"))?;
        if message_length(prefix)? != bytes.len() {
            return Err(Malformed("a message of another length than it says"));
        }
        let mut cursor = Cursor::new(bytes, order(bytes[0])?);
        cursor.at = PREFIX - 4;
        let end = PREFIX + cursor.length()?;
        let (mut reply_to, mut error, mut signature) = (None, None, "");
        while cursor.at < end {
            cursor.align(8)?;
            let code = cursor.byte()?;
            let kind = cursor.signature()?;
            match (code, kind) {
                (REPLY_SERIAL, "u") => reply_to = Some(cursor.uint()?),
                (ERROR_NAME, "s") => error = Some(cursor.string()?),
                (SIGNATURE, "g") => signature = cursor.signature()?,
                _ => cursor.skip(kind)?,
            }
        }
        if cursor.at != end {
            return Err(Malformed("header fields that overrun their length"));
        }
        cursor.align(8)?;
        let kind = match (bytes[1], reply_to, error) {
            (2, Some(to), _) => MessageKind::Return { to },
            (3, Some(to), Some(name)) => MessageKind::Error { to, name },
            (2 | 3, _, _) => return Err(Malformed("a reply that does not say to what")),
            _ => MessageKind::Other,
        };
        let body = Cursor::new(&bytes[cursor.at..], cursor.order);
        Ok(Message {
            kind,
            signature,
            body,
        })
    }

    /// The body, if it has the signature that the caller knows how to read.
    ///
    /// # Errors
    /// If it has another one.
    pub fn body(&self, signature: &str) -> Parsed<Cursor<'a>> {
        if self.signature == signature {
            Ok(self.body)
        } else {
            Err(Malformed("a reply of another type than was asked for"))
        }
    }

    /// What an error reply says besides its name; empty if it says nothing.
    pub fn error_text(&self) -> &'a str {
        if !self.signature.starts_with('s') {
            return "";
        }
        let mut body = self.body;
        body.string().unwrap_or("")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

fn order(mark: u8) -> Parsed<Order> {
    match mark {
        b'l' => Ok(Order::Little),
        b'B' => Ok(Order::Big),
        _ => Err(Malformed("no byte order mark")),
    }
}

/// Reads values one after the other; each method fails rather than reading past the end.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    order: Order,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8], order: Order) -> Cursor<'a> {
        Cursor {
            bytes,
            at: 0,
            order,
        }
    }

    /// `s` or `o`.
    pub fn string(&mut self) -> Parsed<&'a str> {
        let length = self.length()?;
        self.text(length)
    }

    /// `ao`.
    pub fn paths(&mut self) -> Parsed<Vec<&'a str>> {
        let length = self.length()?;
        let end = self.at + length;
        let mut found = Vec::new();
        while self.at < end {
            let path = self.string()?;
            if !path.starts_with('/') {
                return Err(Malformed("an object path without a slash"));
            }
            found.push(path);
        }
        if self.at == end {
            Ok(found)
        } else {
            Err(Malformed("an array that overruns its length"))
        }
    }

    /// `ay`.
    pub fn byte_array(&mut self) -> Parsed<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    /// A variant that must hold a boolean.
    pub fn boolean_variant(&mut self) -> Parsed<bool> {
        if self.signature()? != "b" {
            return Err(Malformed("a property of another type than was asked for"));
        }
        match self.uint()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("a boolean that is neither 0 nor 1")),
        }
    }

    /// A variant that must hold object paths.
    pub fn paths_variant(&mut self) -> Parsed<Vec<&'a str>> {
        if self.signature()? != "ao" {
            return Err(Malformed("a property of another type than was asked for"));
        }
        self.paths()
    }

    /// A variant whose value does not matter.
    pub fn skip_variant(&mut self) -> Parsed<()> {
        let kind = self.signature()?;
        self.skip(kind)
    }

    /// To the start of a struct.
    pub fn structure(&mut self) -> Parsed<()> {
        self.align(8)
    }

    fn signature(&mut self) -> Parsed<&'a str> {
        let length = usize::from(self.byte()?);
        self.text(length)
    }

    /// One value of a basic type, or an array of them; no peer sends us more than that.
    fn skip(&mut self, kind: &str) -> Parsed<()> {
        match kind.as_bytes() {
            [b'g'] => self.signature().map(drop),
            [b's' | b'o'] => self.string().map(drop),
            [one] => {
                let width = width(*one)?;
                self.align(width)?;
                self.take(width).map(drop)
            }
            [b'a', element] => {
                let length = self.length()?;
                match element {
                    b's' | b'o' | b'g' => {}
                    other => self.align(width(*other)?)?,
                }
                self.take(length).map(drop)
            }
            _ => Err(Malformed("a value of a type that is not known here")),
        }
    }

    fn text(&mut self, length: usize) -> Parsed<&'a str> {
        let bytes = self.take(length)?;
        if self.byte()? != 0 || bytes.contains(&0) {
            return Err(Malformed("a text that does not end where it says"));
        }
        std::str::from_utf8(bytes).map_err(|_| Malformed("a text that is not UTF-8"))
    }

    /// A length in bytes, bounded so that no sum of a few overflows.
    fn length(&mut self) -> Parsed<usize> {
        match usize::try_from(self.uint()?) {
            Ok(length) if length <= MAX_MESSAGE => Ok(length),
            _ => Err(Malformed("a length of more than 1 MiB")),
        }
    }

    /// `u`.
    pub fn uint(&mut self) -> Parsed<u32> {
        self.align(4)?;
        let bytes = *self
            .take(4)?
            .first_chunk::<4>()
            .ok_or(Malformed("a cut number"))?;
        Ok(match self.order {
            Order::Little => u32::from_le_bytes(bytes),
            Order::Big => u32::from_be_bytes(bytes),
        })
    }

    fn byte(&mut self) -> Parsed<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn align(&mut self, to: usize) -> Parsed<()> {
        self.take(self.at.next_multiple_of(to) - self.at).map(drop)
    }

    fn take(&mut self, length: usize) -> Parsed<&'a [u8]> {
        let end = self.at + length;
        let bytes = self
            .bytes
            .get(self.at..end)
            .ok_or(Malformed("a message that ends too early"))?;
        self.at = end;
        Ok(bytes)
    }
}

/// The size of a type of fixed size, which is its alignment too, in bytes.
fn width(kind: u8) -> Parsed<usize> {
    match kind {
        b'y' => Ok(1),
        b'n' | b'q' => Ok(2),
        b'b' | b'i' | b'u' | b'h' => Ok(4),
        b'x' | b't' | b'd' => Ok(8),
        _ => Err(Malformed("a value of a type that is not known here")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::keychain::marshal::MethodCall;
    use proptest::prelude::*;

    /// A reply of either byte order, built the long way round.
    fn reply(order: u8, kind: u8, fields: &[(u8, &str, &[u8])], body: &[u8]) -> Vec<u8> {
        let uint = |value: usize| match order {
            b'B' => u32::try_from(value).unwrap().to_be_bytes(),
            _ => u32::try_from(value).unwrap().to_le_bytes(),
        };
        let mut array: Vec<u8> = Vec::new();
        for (code, signature, value) in fields {
            array.resize(array.len().next_multiple_of(8), 0);
            array.push(*code);
            array.push(u8::try_from(signature.len()).unwrap());
            array.extend(signature.bytes().chain([0]));
            if *signature != "g" {
                array.resize(array.len().next_multiple_of(4), 0);
            }
            array.extend(*value);
        }
        let mut out = vec![order, kind, 1, 1];
        out.extend(uint(body.len()).into_iter().chain(uint(7)));
        out.extend(uint(array.len()).into_iter().chain(array));
        out.resize(out.len().next_multiple_of(8), 0);
        out.extend(body);
        out
    }

    fn return_of(order: u8, signature: &str, body: &[u8]) -> Vec<u8> {
        let serial = match order {
            b'B' => 3u32.to_be_bytes(),
            _ => 3u32.to_le_bytes(),
        };
        let mut text = vec![u8::try_from(signature.len()).unwrap()];
        text.extend(signature.bytes().chain([0]));
        let fields: [(u8, &str, &[u8]); 2] =
            [(REPLY_SERIAL, "u", &serial), (SIGNATURE, "g", &text)];
        reply(order, 2, &fields, body)
    }

    #[test]
    fn replies_of_both_byte_orders_are_read() {
        for (order, body) in [
            (b'l', b"\x08\0\0\0\x02\0\0\0/a\0" as &[u8]),
            (b'B', b"\0\0\0\x07\0\0\0\x02/a\0"),
        ] {
            let bytes = return_of(order, "ao", body);
            let length = message_length(bytes.first_chunk().unwrap());
            assert_eq!(length, Ok(bytes.len()));
            let message = Message::parse(&bytes).unwrap();
            assert_eq!(message.kind, MessageKind::Return { to: 3 });
            let expected = match order {
                // Its array claims one byte more than its only path takes.
                b'l' => Err(Malformed("a message that ends too early")),
                _ => Ok(vec!["/a"]),
            };
            assert_eq!(message.body("ao").unwrap().paths(), expected);
            assert!(message.body("as").is_err());
        }
    }

    #[test]
    fn a_boolean_property() {
        let yes = return_of(b'l', "v", b"\x01b\0\0\x01\0\0\0");
        let mut body = Message::parse(&yes).unwrap().body("v").unwrap();
        assert_eq!(body.boolean_variant(), Ok(true));
        let odd = return_of(b'l', "v", b"\x01b\0\0\x02\0\0\0");
        let mut body = Message::parse(&odd).unwrap().body("v").unwrap();
        assert!(body.boolean_variant().is_err());
    }

    #[test]
    fn an_error_has_a_name_and_words() {
        let fields: [(u8, &str, &[u8]); 3] = [
            (REPLY_SERIAL, "u", b"\x03\0\0\0"),
            (ERROR_NAME, "s", b"\x03\0\0\0a.B\0"),
            (SIGNATURE, "g", b"\x01s\0"),
        ];
        let bytes = reply(b'l', 3, &fields, b"\x02\0\0\0no\0");
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.kind, MessageKind::Error { to: 3, name: "a.B" });
        assert_eq!(message.error_text(), "no");
    }

    #[test]
    fn lengths_beyond_the_bound_are_refused() {
        for at in [4, 12] {
            let mut prefix = *b"l\x02\0\x01\0\0\0\0\x07\0\0\0\0\0\0\0";
            assert_eq!(message_length(&prefix), Ok(16));
            prefix[at..at + 4].copy_from_slice(&(MAX_MESSAGE as u32 + 1).to_le_bytes());
            assert!(message_length(&prefix).is_err());
            prefix[at..at + 4].copy_from_slice(&[0xff; 4]);
            assert!(message_length(&prefix).is_err());
        }
    }

    #[test]
    fn a_call_is_a_message_that_this_module_reads() {
        let call = MethodCall {
            serial: 9,
            destination: "a.b",
            path: "/",
            interface: "c.d",
            member: "E",
            signature: "s",
            body: b"\x01\0\0\0x\0",
        };
        let bytes = call.bytes();
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.kind, MessageKind::Other);
        assert_eq!(message.body("s").unwrap().string(), Ok("x"));
    }

    /// Everything that the client ever does with a message.
    fn read_in_every_way(bytes: &[u8]) {
        if let Some(prefix) = bytes.first_chunk() {
            let _ = message_length(prefix);
        }
        let Ok(message) = Message::parse(bytes) else {
            return;
        };
        let _ = message.error_text();
        let start = message.body;
        let _ = { start }.string();
        let _ = { start }.paths();
        let _ = { start }.byte_array();
        let _ = { start }.boolean_variant();
        let _ = { start }.skip_variant();
        let mut body = start;
        let _ = body.structure().and_then(|()| body.string());
        let _ = body.byte_array().and_then(|_| body.byte_array());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read_in_every_way(&bytes);
        }

        #[test]
        fn no_damaged_reply_panics(
            big in any::<bool>(),
            signature in "[a-z(){}]{0,6}",
            body in proptest::collection::vec(any::<u8>(), 0..64),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = return_of(if big { b'B' } else { b'l' }, &signature, &body);
            read_in_every_way(&bytes);
            for (at, value) in damage {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            read_in_every_way(&bytes);
            read_in_every_way(&bytes[..cut.index(bytes.len())]);
        }

        #[test]
        fn no_value_panics(bytes in proptest::collection::vec(0u8..12, 0..40)) {
            for order in [Order::Little, Order::Big] {
                for kind in ["y", "b", "n", "t", "s", "g", "as", "ay", "at", "v", "(s)", ""] {
                    let mut cursor = Cursor::new(&bytes, order);
                    while !kind.is_empty() && cursor.skip(kind).is_ok() && cursor.at < bytes.len() {}
                }
                let _ = Cursor::new(&bytes, order).paths();
            }
        }
    }
}
