//! The fields of each message in the order in which they stand in its body: the order of their declaration.

use crate::batch::Batch;
use crate::body::{Reader, Writer};
use crate::message::{
    Ack, BoardId, BoardKind, ChannelKind, CommandError, Fields, FromBoard, Heartbeat, Hello, HelloHead, MAX_FIELDS,
    OffReason, Refusal, Request, ResetCause, SetChannel, SetRelay, Switch, Switched, ToBoard,
};
use crate::reading::{Fault, Reading, Sample};

impl<'a> FromBoard<'a> {
    pub(crate) fn write(&self, body: &mut Writer<'_>) {
        match self {
            Self::Hello(hello) => hello.write(body),
            Self::Reading(reading) => reading.write(body),
            Self::Batch(batch) => batch.write(body),
            Self::Ack(ack) => ack.write(body),
            Self::Error(error) => error.write(body),
            Self::Switched(switched) => switched.write(body),
            Self::Heartbeat(heartbeat) => heartbeat.write(body),
        }
    }

    pub(crate) fn read(body: &mut Reader<'a>) -> Option<Self> {
        Some(match body.byte() {
            0 => Self::Hello(Hello::read(body)),
            1 => Self::Reading(Reading::read(body)),
            2 => Self::Batch(Batch::read(body)),
            3 => Self::Ack(Ack { command: body.u32(), limited: body.bool() }),
            4 => Self::Error(CommandError { command: body.u32(), reason: Refusal::read(body) }),
            5 => Self::Switched(Switched::read(body)),
            6 => Self::Heartbeat(Heartbeat::read(body)),
            _ => return None,
        })
    }
}

impl ToBoard {
    pub(crate) fn write(&self, body: &mut Writer<'_>) {
        match self {
            Self::Identify => body.byte(0),
            Self::SetId(id) => id.write(body),
            Self::Heartbeat { heard } => {
                body.byte(2);
                body.u32(*heard);
            }
            Self::Received { through } => {
                body.byte(3);
                body.u32(*through);
            }
            Self::Switch(switch) => switch.write(body),
            Self::SetChannel(set) => set.write(body),
            Self::SetRelay(set) => set.write(body),
        }
    }

    pub(crate) fn read(body: &mut Reader<'_>) -> Option<Self> {
        let mut fields = [0; MAX_FIELDS];
        let request = Request::read_fields(body, &mut fields)?;
        // Fields of one byte are numbers below 256.
        Some(match (request, fields) {
            (Request::Identify, _) => Self::Identify,
            (Request::SetId, id) => Self::SetId(BoardId(id.map(|byte| byte as u8))),
            (Request::Heartbeat, [heard, ..]) => Self::Heartbeat { heard },
            (Request::Received, [through, ..]) => Self::Received { through },
            (Request::Switch, [command, relay, on_for, expires, ..]) => {
                Self::Switch(Switch { command, relay: relay as u8, on_for, expires })
            }
            (Request::SetChannel, [command, channel, kind, interval, oversampling, ..]) => {
                let (channel, kind, oversampling) =
                    (channel as u8, ChannelKind::from_number(kind as u8)?, oversampling as u8);
                Self::SetChannel(SetChannel { command, channel, kind, interval, oversampling })
            }
            (Request::SetRelay, [command, relay, max_on, min_off, link_timeout, excludes, ..]) => {
                let (relay, excludes) = (relay as u8, excludes as u8);
                Self::SetRelay(SetRelay { command, relay, max_on, min_off, link_timeout, excludes })
            }
        })
    }
}

impl Request {
    /// Which fields of the message are `u32`, as bits from the first field; the others are bytes. A bit more says where they end.
    const fn layout(self) -> u16 {
        match self {
            Self::Identify => 0b1,
            Self::SetId => 0b1_0000_0000,
            Self::Heartbeat | Self::Received => 0b11,
            Self::Switch => 0b1_1101,
            Self::SetChannel => 0b10_1001,
            Self::SetRelay => 0b101_1101,
        }
    }

    /// Reads a message's fields from its body.
    #[inline(never)]
    pub(crate) fn read_fields(body: &mut Reader<'_>, fields: &mut Fields) -> Option<Self> {
        let request = Self::from_number(body.byte())?;
        let mut layout = request.layout();
        for field in fields {
            if layout == 1 {
                break;
            }
            *field = if layout & 1 == 0 { u32::from(body.byte()) } else { body.u32() };
            layout >>= 1;
        }
        Some(request)
    }
}

impl HelloHead<'_> {
    /// Writes the begin of a Hello to the body of a frame. A board then writes its channels one by one: the length of the list in bytes,
    /// and each channel's kind and unit.
    pub fn write(&self, body: &mut Writer<'_>) {
        body.byte(0);
        body.byte(self.protocol);
        body.byte(self.kind.number());
        let [major, minor, patch] = self.firmware;
        body.byte(major);
        body.byte(minor);
        body.byte(patch);
        body.byte(u8::from(self.id.is_some()));
        if let Some(BoardId(id)) = self.id {
            body.raw(id);
        }
        body.byte(self.reset.number());
        body.u32(self.at);
        body.u32(self.next);
        body.byte(self.relays);
    }
}

impl<'a> Hello<'a> {
    pub(crate) fn write(&self, body: &mut Writer<'_>) {
        let Self { protocol, kind, firmware, id, reset, at, next, relays, channels } = self;
        let head = HelloHead {
            protocol: *protocol,
            kind: *kind,
            firmware: *firmware,
            id: id.as_ref(),
            reset: *reset,
            at: *at,
            next: *next,
            relays: *relays,
        };
        head.write(body);
        body.bytes(channels);
    }

    fn read(body: &mut Reader<'a>) -> Self {
        Self {
            protocol: body.byte(),
            kind: BoardKind::read(body),
            firmware: body.array(),
            id: body.bool().then(|| BoardId(body.array())),
            reset: ResetCause::read(body),
            at: body.u32(),
            next: body.u32(),
            relays: body.byte(),
            channels: body.bytes(),
        }
    }
}

impl Ack {
    /// Writes the message to the body of a frame.
    pub fn write(&self, body: &mut Writer<'_>) {
        body.byte(3);
        body.u32(self.command);
        body.byte(u8::from(self.limited));
    }
}

impl CommandError {
    /// Writes the message to the body of a frame.
    pub fn write(&self, body: &mut Writer<'_>) {
        body.byte(4);
        body.u32(self.command);
        body.byte(self.reason.number());
    }
}

impl Reading {
    /// Writes the message to the body of a frame.
    pub fn write(&self, body: &mut Writer<'_>) {
        body.byte(1);
        body.u32(self.seq);
        body.u32(self.at);
        body.byte(self.channel);
        self.sample.write(body);
    }

    fn read(body: &mut Reader<'_>) -> Self {
        Self { seq: body.u32(), at: body.u32(), channel: body.byte(), sample: Sample::read(body) }
    }
}

impl Sample {
    pub(crate) fn write(self, body: &mut Writer<'_>) {
        match self {
            Self::Value(value) => {
                body.byte(0);
                body.i32(value);
            }
            Self::Fault(fault) => {
                body.byte(1);
                body.byte(fault.number());
            }
        }
    }

    pub(crate) fn read(body: &mut Reader<'_>) -> Self {
        if body.bool() { Self::Fault(Fault::read(body)) } else { Self::Value(body.i32()) }
    }
}

impl Switched {
    /// Writes the message to the body of a frame.
    pub fn write(&self, body: &mut Writer<'_>) {
        body.byte(5);
        body.u32(self.at);
        body.byte(self.relay);
        body.u32(self.command);
        body.byte(u8::from(self.off.is_some()));
        if let Some(reason) = self.off {
            body.byte(reason.number());
        }
    }

    fn read(body: &mut Reader<'_>) -> Self {
        Self {
            at: body.u32(),
            relay: body.byte(),
            command: body.u32(),
            off: body.bool().then(|| OffReason::read(body)),
        }
    }
}

impl Heartbeat {
    /// Writes the message to the body of a frame.
    pub fn write(&self, body: &mut Writer<'_>) {
        body.byte(6);
        body.u32(self.at);
        body.u32(self.next);
        body.u32(self.oldest);
        body.u32(self.lost);
        body.u32(u32::from(self.bad_frames));
        body.byte(self.on);
    }

    fn read(body: &mut Reader<'_>) -> Self {
        Self {
            at: body.u32(),
            next: body.u32(),
            oldest: body.u32(),
            lost: body.u32(),
            bad_frames: body.u16(),
            on: body.byte(),
        }
    }
}

impl BoardId {
    /// Writes the message that sets this id to the body of a frame.
    pub fn write(&self, body: &mut Writer<'_>) {
        body.byte(1);
        body.raw(&self.0);
    }
}

impl Switch {
    fn write(&self, body: &mut Writer<'_>) {
        body.byte(4);
        body.u32(self.command);
        body.byte(self.relay);
        body.u32(self.on_for);
        body.u32(self.expires);
    }
}

impl SetChannel {
    /// Writes the message to the body of a frame.
    pub fn write(&self, body: &mut Writer<'_>) {
        body.byte(5);
        body.u32(self.command);
        body.byte(self.channel);
        body.byte(self.kind.number());
        body.u32(self.interval);
        body.byte(self.oversampling);
    }
}

impl SetRelay {
    /// Writes the message to the body of a frame.
    pub fn write(&self, body: &mut Writer<'_>) {
        body.byte(6);
        body.u32(self.command);
        body.byte(self.relay);
        body.u32(self.max_on);
        body.u32(self.min_off);
        body.u32(self.link_timeout);
        body.byte(self.excludes);
    }
}
