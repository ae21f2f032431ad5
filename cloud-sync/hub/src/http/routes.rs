//! Every route, and who may call it. The router is made from this table and from nothing else.

/// One route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) call: Call,
}

/// The methods that the hub knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
}

/// What is called, by whoever may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// A device, about itself.
    Device(Device),
    /// A tenant's reader, about that tenant.
    Reader(Reader),
    /// Whoever asks, within limits.
    Anyone(Anyone),
}

/// What devices call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    Batch,
    Bundle,
}

/// What readers call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    Latest,
    Data,
    Events,
    Alerts,
}

/// What anyone calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anyone {
    Time,
    OpenApi,
    /// With a read key about its tenant, without one about the hub alone.
    Health,
}

/// The table.
pub(crate) const ROUTES: &[Route] = &[
    route(Method::Post, "/api/v1/sync/batch", Call::Device(Device::Batch)),
    route(Method::Get, "/api/config/bundle", Call::Device(Device::Bundle)),
    route(Method::Get, "/api/v1/time", Call::Anyone(Anyone::Time)),
    route(Method::Get, "/api/data/latest", Call::Reader(Reader::Latest)),
    route(Method::Get, "/api/data", Call::Reader(Reader::Data)),
    route(Method::Get, "/api/events", Call::Reader(Reader::Events)),
    route(Method::Get, "/api/alerts", Call::Reader(Reader::Alerts)),
    route(Method::Get, "/api/health", Call::Anyone(Anyone::Health)),
    route(Method::Get, "/api/openapi.json", Call::Anyone(Anyone::OpenApi)),
];

const fn route(method: Method, path: &'static str, call: Call) -> Route {
    Route { method, path, call }
}

impl Method {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

impl Method {
    /// Methods by which it is asked for, as `Allow` says it.
    pub(crate) const fn allowed(self) -> &'static str {
        match self {
            Method::Get => "GET, HEAD",
            Method::Post => "POST",
        }
    }
}

impl Call {
    /// Who may call.
    pub(crate) const fn who(self) -> &'static str {
        match self {
            Call::Device(_) => "device",
            Call::Reader(_) => "reader",
            Call::Anyone(Anyone::Health) => "anyone, reader",
            Call::Anyone(Anyone::Time | Anyone::OpenApi) => "anyone",
        }
    }
}
