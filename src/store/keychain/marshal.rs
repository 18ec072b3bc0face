//! D-Bus method calls as bytes: as much as reading one secret takes. Pure. What
//! comes back is read by `unmarshal.rs`.
//!
//! Source: D-Bus specification, "Marshaling" and "Message Format".

const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// A method call to make.
#[derive(Debug, Clone, Copy)]
pub struct MethodCall<'a> {
    pub serial: u32,
    pub destination: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
    pub signature: &'a str,
    pub body: &'a [u8],
}

impl MethodCall<'_> {
    /// The message, little-endian. Flags are 0: the bus may start the provider, and
    /// a reply is wanted.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.bytes(b"l\x01\x00\x01");
        out.uint(size(self.body.len()));
        out.uint(self.serial);
        let fields_at = out.0.len();
        out.uint(0);
        for (code, kind, value) in [
            (PATH, "o", self.path),
            (INTERFACE, "s", self.interface),
            (MEMBER, "s", self.member),
            (DESTINATION, "s", self.destination),
        ] {
            out.align(8);
            out.bytes(&[code]);
            out.signature(kind);
            out.string(value);
        }
        if !self.signature.is_empty() {
            out.align(8);
            out.bytes(&[SIGNATURE]);
            out.signature("g");
            out.signature(self.signature);
        }
        let length = size(out.0.len() - fields_at - 4);
        out.0[fields_at..fields_at + 4].copy_from_slice(&length.to_le_bytes());
        out.align(8);
        out.bytes(self.body);
        out.0
    }
}

/// Values in D-Bus form, little-endian. Not for secrets: it grows by copying.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn string(&mut self, text: &str) -> &mut Writer {
        self.align(4);
        self.uint(size(text.len()));
        self.bytes(text.as_bytes());
        self.bytes(&[0])
    }

    /// A variant that holds a string.
    pub fn string_variant(&mut self, text: &str) -> &mut Writer {
        self.signature("s");
        self.string(text)
    }

    /// `a{ss}`.
    pub fn dictionary(&mut self, pairs: &[(&str, &str)]) -> &mut Writer {
        self.align(4);
        let length_at = self.0.len();
        self.uint(0);
        self.align(8);
        let start = self.0.len();
        for (key, value) in pairs {
            self.align(8);
            self.string(key);
            self.string(value);
        }
        let length = size(self.0.len() - start);
        self.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
        self
    }

    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    fn signature(&mut self, text: &str) -> &mut Writer {
        let length = u8::try_from(text.len()).expect("signatures are literals of this program");
        self.bytes(&[length]);
        self.bytes(text.as_bytes());
        self.bytes(&[0])
    }

    fn uint(&mut self, value: u32) -> &mut Writer {
        self.bytes(&value.to_le_bytes())
    }

    fn align(&mut self, to: usize) -> &mut Writer {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Writer {
        self.0.extend_from_slice(bytes);
        self
    }
}

fn size(length: usize) -> u32 {
    u32::try_from(length).expect("what this program sends is far below 4 GiB")
}
