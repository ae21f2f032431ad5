//! No value of a key that names a secret, and no user info of an address, is ever part of a message about a configuration, however broken it is.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tilth_config::{Document, Layer, Loaded, Merged, Purpose, Text, base, bundle, explain, load_documents, top_paths};

/// Neither a word of ours nor in the form of any provider's tokens: only its place tells that it is a secret.
const MARKER: &str = "hunterQuokka";

const FARM: &str = "
[sensors.'a/ph']
quantity = 'ph'
input = 'line:gateway/ph'
[notifications.phone]
kind = 'ntfy'
url = 'https://ntfy.example'
topic = 'farm'
";

const AGENT_TOML: &str =
    "[device]\nid = 'pi-7'\nclient = 'acme'\n[bus.gateway]\nkind = 'line'\nport = '/dev/ttyUSB0'\n";

/// Lines of a channel, with `@@` where the secret stands.
const IN_A_CHANNEL: &[&str] = &[
    // Without quotes, with broken ones, and with those of web pages.
    "token=@@",
    "token = @@",
    "token = @@ # for the phone",
    "token = \"@@",
    "token = @@\"",
    "token = '@@",
    "token = \u{201c}@@\u{201d}",
    "token = \"\"\"@@",
    "token = \"\"\"\n@@\n\"\"\"",
    "token = '''\n@@\n'''",
    "token = \"tk_\n@@\"",
    "token =\n@@",
    "token =\n\"@@\"",
    "token @@",
    "token \"@@\"",
    "token: @@",
    "token: \"@@\",",
    "token == \"@@\"",
    "token = \"@@\" \"@@\"",
    "token = \"@@\",",
    "token = \"x\" @@",
    "token = \"@@\"; url = 5",
    "password is @@",
    // As another kind of value.
    "token = [\"@@\"]",
    "token = [\n\"@@\",\n]",
    "token = [@@]",
    "token = [ \"@@\"",
    "token = { value = \"@@\" }",
    "token = { @@ = 1 }",
    "token = { value = @@ }",
    "token.@@ = 1",
    "token.value = '@@'",
    "\"token\" = '@@",
    "'token' = @@",
    // As a name that is none.
    "token = 'secret:@@ x'",
    "token = \"secret:@@/x\"",
    "token = secret:@@ x",
    "token = 'secret: @@'",
    "token = '@@'",
    "token = 'Secret:@@!'",
    // Under keys that there are not.
    "pasword = '@@'",
    "password = @@",
    "passwrod = @@",
    "PASSWORD = '@@",
    "passwd = @@",
    "pass = @@",
    "pwd = @@",
    "api_key = @@",
    "apiKey = @@",
    "api-key = @@",
    "tokn = @@",
    "toekn = @@",
    "access_token = @@",
    "auth = @@",
    "Authorization = Bearer @@",
    "authorisation = \"Bearer @@",
    "bearer = @@",
    "key = @@",
    "secert = @@",
    "client_secret = @@",
    "credentials = ntfy:@@",
    "passphrase = @@",
    "wachtwoord = @@",
    "X-Auth-Token = @@",
    "cookie = sid @@",
    "headers = { Authorization = \"Bearer @@\" }",
    "headers = { Authorization = Bearer @@ }",
    "headers = { \"X-Token\" = '@@ }",
    "headers = [\"Authorization: Bearer @@\"]",
    "headers = [\"Authorization: Bearer @@]",
    "headers.Authorization = @@",
    "topic = 5\ntoken = { a = [1, { password = '@@' }] }",
    "token = 1\ntoken = '@@'",
    "token = '@@'\ntoken = @@",
    // In addresses.
    "url = \"https://ntfy:@@@ntfy.example\"",
    "url = 'hooks.example/services/://@@'",
    "url = hooks.example/services/://@@",
    "url = 'https:/hooks.example/services/://@@'",
    "url = 'hooks.example/services/a://@@'",
    "url = 'https://@@@ntfy.example'",
    "url = https://ntfy:@@@ntfy.example",
    "url = https://ntfy:@@@ntfy.example # mine",
    "url = \"https://ntfy:@@@ntfy.example",
    "url = 'https://ntfy:a/@@@ntfy.example'",
    "url = 'https://ntfy:a b@@@ntfy.example'",
    "url = 'https://ntfy:a\"@@@ntfy.example'",
    "url = 'https://ntfy:@@@ntfy.example/a@b'",
    "url = 'ntfy:@@@ntfy.example'",
    "url = ntfy:@@@ntfy.example",
    "url = ['https://ntfy:@@@ntfy.example']",
    "url = 'ftp://ntfy:@@@ntfy.example?x=1'",
    "url = 'http://[::1]/?auth=@@ x'",
    "url = http://ntfy.example/?token=@@",
    "uri = 'ntfy:@@@ntfy.example'",
    "server = ntfy:@@@ntfy.example",
    "topic = 'https://ntfy:@@@ntfy.example/farm'",
    "kind = 'https://ntfy:@@@ntfy.example/farm'",
    // In the path of an address, which is all that a webhook asks for; and a topic, which is all that ntfy asks for.
    "url = 'https://hooks.example/services/T0/B0/@@'",
    "url = 'https://hooks.example/@@/x'",
    "url = \"https://hooks.example/api/webhooks/1/@@\" # mine",
    "url = https://hooks.example/services/@@",
    "url = https://hooks.example/services/ @@",
    "url = 'https://hooks.example/services/ @@ '",
    "url = \"https://hooks.example/services/@@",
    "url = 'https://acme.office.example/webhookb2/1a@2b/In/@@/3c'",
    "url = 'http://192.168.1.5:8123/api/webhook/@@'",
    "url = 'https://api.telegram.example/bot123:@@/send'",
    "url = 'https://hooks.example#@@'",
    "url = 'HTTPS://hooks.example/@@'",
    "url = 'ftp://hooks.example/@@'",
    "url = 'hooks.example/services/@@'",
    "url = hooks.example/services/@@",
    "url = 'https:/hooks.example/services/@@'",
    "url = ['https://hooks.example/@@']",
    "webhook = 'https://hooks.example/@@'",
    "server = 'hooks.example/@@'",
    "kind = 'https://hooks.example/@@'",
    "https://hooks.example/@@ = 1",
    "'https://hooks.example/@@' = 1",
    "topic = 'https://ntfy.example/@@'",
    "priority = high # https://hooks.example/services/@@",
    "topic = '@@'",
    "topic = @@",
    "topic = '@@!'",
    "topic = ['@@']",
    "topic = \"@@",
    // In comments, beside something that is wrong.
    "# token = @@\nprotiy = 5",
    "priority = 5 # password: @@",
    "priority = 5 # password @@",
    "# the old token was @@\npriority = high",
    "priority = high # https://ntfy:@@@ntfy.example",
    "priority = high # don't lose the token @@",
];

/// Whole documents.
const DOCUMENTS: &[&str] = &[
    "token = '@@'",
    "token = @@",
    "[token]\nvalue = @@",
    "[notifications]\ntoken = '@@'",
    "[notifications]\npassword = @@",
    "[notifications.phone\ntoken = '@@'",
    "[notifications.phone.token.@@]\nx = 1",
    "[notifications.phone.token]\nvalue = '@@",
    "[notifications.'phone'.auth]\nuser = 'x'\nvalue = 5\n'also' = @@",
    "notifications = { phone = { kind = 'ntfy', token = @@ } }",
    "notifications = { phone = { kind = 'ntfy', token = '@@' } }",
    "notifications.phone.token = '@@'",
    "notifications.phone.token = @@",
    "[zones.a.notifications.phone]\ntoken = '@@'",
    "[zones.a.notifications.phone]\npassword = '@@",
    "[zones.a.notifications]\ntoken = '@@'",
    "[secrets]\nntfy = '@@'",
    "[secrets]\nntfy = @@",
    "[secrets.ntfy]\nvalue = '@@",
    "[credentials.ntfy]\nvalue = @@",
    "[[notifications.phone]]\ntoken = '@@'\nx = y",
    "[agent]\npassword = '@@'\ntimezone = 5",
    "[agent]\napi_key = @@",
    "[features]\ntoken = '@@",
    "[rules.ph-high]\nmessage = 5 # token = @@\n",
    "[sensors.'a/ph']\ninput = 'mqtt://tilth:@@@broker/ph'",
    "[sensors.'a/ph']\ninput = mqtt://tilth:@@@broker/ph",
    "\u{feff}token = @@",
    "token = @@\r\n[rules.ph-high]\r\nabov = 1\r\n",
    "token = '@@'\n\0",
];

/// Further tables of `agent.toml`.
const IN_AGENT_TOML: &[&str] = &[
    "[hub]\nurl = 'https://pi-7:@@@hub.example'\nsigning_key = 'hub.pub'\nkey_file = 'device.key'",
    "[hub]\nurl = https://pi-7:@@@hub.example\nsigning_key = 'hub.pub'\nkey_file = 'device.key'",
    "[hub]\nurl = 'http://pi-7:@@@hub.example'\nsigning_key = 'hub.pub'\nkey_file = 'device.key'",
    "[hub]\nurl = 'pi-7:@@@hub.example'\nsigning_key = 'hub.pub'\nkey_file = 'device.key'",
    "[hub]\nkey = '@@'",
    "[hub]\nkey = @@",
    "[hub]\ndevice_key = @@",
    "[hub]\nkey_file = 'dev_ak_0123456789ab_@@'",
    "[hub]\nkey_file = dev_ak_0123456789ab_@@",
    "[hub]\nkey_file = 'keys/dev_ak_0123456789ab_@@'",
    "[bus.broker]\nkind = 'mqtt'\nurl = 'mqtt://tilth:@@@broker.example'",
    "[bus.broker]\nkind = 'mqtt'\nurl = mqtt://tilth:@@@broker.example",
    "[bus.broker]\nkind = 'mqtt'\nurl = 'tilth:@@@broker.example'",
    "[bus.broker]\nkind = 'mqtt'\nurl = 'mqtt://broker.example'\nuser = 'tilth'\npassword = '@@'",
    "[bus.broker]\nkind = 'mqtt'\nurl = 'mqtt://broker.example'\npassword = @@",
    "[bus]\npassword = '@@'",
    "[secrets.ntfy]\nvalue = '@@'",
    "[secrets]\nntfy = '@@'",
    "[secrets.ntfy]\nhosts = 5\ntoken = '@@'\nx = [ # @@ is the token",
];

fn load(config: Text, agent_toml: &str) -> Loaded {
    let mut documents = base();
    documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", FARM));
    let file = "config.d/people.toml".to_owned();
    documents.layers.push(Document { file, layer: Some(Layer::ConfigD), version: None, text: config });
    documents.agent_toml = Some(Document::agent_toml(agent_toml));
    load_documents(documents, Purpose::Run)
}

/// All that can be said of a configuration: findings as text and as JSON, explanations, and what a terminal shows of its texts.
fn said(loaded: &Loaded) -> Vec<String> {
    let findings = loaded.diagnostics.iter();
    let mut said: Vec<String> = findings.clone().map(ToString::to_string).collect();
    said.extend(findings.map(|finding| serde_json::to_string(finding).expect("plain data")));
    for path in top_paths(loaded).iter().map(String::as_str).chain(["token", "notifications.phone.token", "secrets"]) {
        match explain(loaded, path) {
            Ok(explained) => said.push(serde_json::to_string(&explained).expect("plain data")),
            Err(unknown) => said.push(unknown.to_string()),
        }
    }
    let files = loaded.sources.iter().map(|source| source.file.clone());
    said.extend(files.filter_map(|file| loaded.sources.shown(&file)));
    if !loaded.has_errors() {
        said.push(serde_json::to_string(&Merged::of(loaded)).expect("plain data"));
    }
    said
}

#[track_caller]
fn keeps(loaded: &Loaded, secret: &str, of: &str) {
    for said in said(loaded) {
        assert!(!said.contains(secret), "of {of:?} is said: {said}");
    }
}

fn with(form: &str, secret: &str) -> String {
    form.replace("@@", secret)
}

#[test]
fn no_form_of_a_slip_shows_a_secret() {
    for form in IN_A_CHANNEL {
        for before in ["[notifications.phone]\n", "[notifications.phone]\nmax_per_hour = 5\n", "[notifications]\n", ""]
        {
            let text = format!("{before}{}\n[rules.ph-high]\nabov = 1\n", with(form, MARKER));
            let loaded = load(Text::Toml(text.clone().into_bytes()), AGENT_TOML);
            keeps(&loaded, MARKER, &text);
        }
    }
    for form in DOCUMENTS {
        let text = with(form, MARKER);
        let loaded = load(Text::Toml(text.clone().into_bytes()), AGENT_TOML);
        assert!(!loaded.diagnostics.is_empty(), "{text}");
        keeps(&loaded, MARKER, &text);
    }
    for form in IN_AGENT_TOML {
        let text = format!("{AGENT_TOML}{}\n", with(form, MARKER));
        let loaded = load(Text::Toml(Vec::new()), &text);
        assert!(loaded.has_errors(), "{text}");
        keeps(&loaded, MARKER, &text);
    }
}

/// The same of a document that the hub was given as JSON, or that it signed.
#[test]
fn no_document_without_lines_shows_a_secret() {
    for channel in [
        json!({"token": MARKER}),
        json!({"token": [MARKER]}),
        json!({"token": {"value": MARKER}}),
        json!({"token": {MARKER: 1}}),
        json!({"token": format!("secret:{MARKER} x")}),
        json!({"pasword": MARKER}),
        json!({"headers": {"Authorization": format!("Bearer {MARKER}")}}),
        json!({"headers": [format!("Authorization: Bearer {MARKER}")]}),
        json!({"url": format!("https://ntfy:{MARKER}@ntfy.example")}),
        json!({"url": format!("ntfy:{MARKER}@ntfy.example")}),
        json!({"url": {"a": format!("https://ntfy:{MARKER}@ntfy.example")}}),
        json!({"topic": format!("https://ntfy:{MARKER}@ntfy.example")}),
        json!({"topic": MARKER}),
        json!({"url": format!("https://hooks.example/services/{MARKER}")}),
        json!({"url": format!("hooks.example/services/{MARKER}")}),
        json!({"kind": "webhook", "url": format!("https://ha.example/api/webhook/{MARKER}"), "secret": "secret:x"}),
    ] {
        let content = json!({"notifications": {"phone": channel}});
        keeps(&load(Text::Json(content.clone()), AGENT_TOML), MARKER, &content.to_string());
        let mut documents = bundle::documents(Some(7), content.clone());
        documents.agent_toml = Some(Document::agent_toml(AGENT_TOML));
        keeps(&load_documents(documents, Purpose::Run), MARKER, &content.to_string());
    }
    let content = json!({"notifications": {"token": MARKER}, "secrets": {"ntfy": MARKER}, "password": MARKER});
    keeps(&load(Text::Json(content.clone()), AGENT_TOML), MARKER, &content.to_string());
}

/// Tokens are known by their form, too, wherever they stand.
#[test]
fn a_token_is_not_shown_whatever_it_stands_under() {
    for token in [
        "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2",
        "tk_Marker12345",
        "dev_ak_0123456789ab_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOcHrzqqgy",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "sk-proj-0123456789abcdefABCDEF",
        "AKIAIOSFODNN7EXAMPLE",
        "0123456789abcdef0123456789abcdef",
        "wJalrXUtnFEMI7K7MDENGbPxRfiCYEX4MPLEKEY",
    ] {
        for form in [
            "topic = '@@ '",
            "topic = @@",
            "kind = '@@'",
            "kind = @@",
            "url = '@@'",
            "url = 'https://hooks.example/services/@@ '",
            "max_per_hour = '@@'",
            "token = 'secret:@@'",
            "@@ = 1",
            "@@",
            "name = '@@'",
            "\n[zones.'@@'.rules.ph-high]\nabove = 5",
            "\n[sensors.'@@']\nquantity = 'ph'",
            "\n[schedules.day]\ntimezone = '@@'",
            "\n[rules.x]\nquantity = '@@'\nabove = 1",
            "\n[rules.x]\nsensor = '@@'\nescalation = '@@'\nabove = 1",
        ] {
            let text = format!("[notifications.phone]\n{}\n", with(form, token));
            let loaded = load(Text::Toml(text.clone().into_bytes()), AGENT_TOML);
            assert!(!loaded.diagnostics.is_empty(), "{text}");
            // Not even most of it.
            keeps(&loaded, &token[10..], &text);
        }
    }
}

/// What is no secret is shown as ever.
#[test]
fn what_is_no_secret_is_shown() {
    for (text, expected) in [
        ("[notifications.phone]\nurl = 'ntfy.example'", "\"ntfy.example\" is no address"),
        (
            "[notifications.phone]\nurl = 'https://bücher.example'",
            "\"https://bücher.example\" is no address; expected ASCII",
        ),
        ("[notifications.phone]\ntopic = 'our farm'", "(not shown) is no topic"),
        ("[notifications.phone]\nurl = 'https://hooks.example:0/x'", "\"https://hooks.example:0/..\" is no address"),
        ("[sensors.'a/t']\nquantity = 'temperatur'", "did you mean \"temperature\"?"),
        ("[sensors.'key-room/t']\nquantity = 'ph'\nrange = 'x'", "found \"x\""),
        ("[rules.token-lost]\nsensor = 'a/ph'\nabove = 'x'", "found \"x\""),
        ("[rules.ph-high]\nabove = 6,8", "write above = 6.8"),
        ("[sensors.'a/t']\nquantity = ph", "write quantity = \"ph\""),
        (
            "[sensors.'a/t']\nquantity = 'ph'\ninput = 'i2c:main/sht31@x/temperature'",
            "\"i2c:main/sht31@x/temperature\" is no input",
        ),
        ("[notifications.phone]\nurl = 'https://u@ntfy.example/x'", "\"https://..@ntfy.example/..\" is no address"),
    ] {
        let loaded = load(Text::Toml(text.into()), AGENT_TOML);
        let said: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|said| said.contains(expected)), "of {text:?} is said: {said:#?}");
    }
    let agent_toml = format!("{AGENT_TOML}[hub]\nurl = 'https://hub.example'\nsigning_key = 5\nkey_file = 6\n");
    let said = load(Text::Toml(Vec::new()), &agent_toml).diagnostics;
    assert!(said.iter().any(|said| said.message.contains("found 5")), "{said:?}");
    let loaded = load(Text::Toml(b"[notifications.phone]\ntoken = 'secret:phone'\n".to_vec()), AGENT_TOML);
    let explained = explain(&loaded, "notifications.phone.token").expect("it is there");
    assert_eq!(explained[0].value, Some(Json::from("secret:phone")));
    assert!(loaded.sources.shown("config.d/people.toml").expect("a text").contains("'secret:phone'"));
    // The destination of a channel is told apart by its host.
    let office = b"[notifications.office]\nkind = 'webhook'\nurl = 'https://hooks.example:8443/services/T0'\nsecret = 'secret:x'\n";
    let loaded = load(Text::Toml(office.to_vec()), AGENT_TOML);
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let explained = explain(&loaded, "notifications.office.url").expect("it is there");
    assert_eq!(explained[0].value, Some(Json::from("https://hooks.example:8443/..")));
    let explained = explain(&loaded, "notifications.phone.topic").expect("it is there");
    assert_eq!(explained[0].value, Some(Json::from("(not shown)")));
}

/// A text that is shown has everything where it was.
#[test]
fn a_shown_text_is_as_long_as_it_was() {
    for form in IN_A_CHANNEL.iter().chain(DOCUMENTS) {
        let text = with(form, "é@ü€MARKER");
        let loaded = load(Text::Toml(text.clone().into_bytes()), AGENT_TOML);
        let shown = loaded.sources.shown("config.d/people.toml").expect("a text");
        assert_eq!(shown.len(), text.len(), "{text:?} {shown:?}");
        assert_eq!(shown.matches('\n').count(), text.matches('\n').count(), "{text:?} {shown:?}");
    }
}

fn secret() -> impl Strategy<Value = String> {
    // Anything that a shell or a web page lets people paste, with a part that is found again.
    ("[A-Za-z0-9!$%&*+/=?^_~.:;,-]{0,12}", "[A-Za-z0-9!$%&*+/=?^_~.:;,-]{0,12}")
        .prop_map(|(before, after)| format!("{before}{MARKER}{after}"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_secret_in_any_place(
        secret in secret(),
        lines in prop::collection::vec(prop::sample::select(IN_A_CHANNEL), 1..4),
        key in prop::sample::select(vec!["token", "secret", "password", "pasword", "api_key", "authorization"]),
        cut in any::<prop::sample::Index>(),
    ) {
        let lines: Vec<String> = lines.iter().map(|line| with(line, &secret).replacen("token", key, 1)).collect();
        let mut text = format!("[notifications.phone]\n{}\n[rules.ph-high]\nabov = 1\n", lines.join("\n"));
        // Broken off somewhere, as by an editor or a full disk.
        let mut at = cut.index(text.len() * 2).min(text.len());
        while !text.is_char_boundary(at) {
            at += 1;
        }
        text.truncate(at);
        // What is left of an address that is cut off within a password may be the name of a host.
        let last = text.lines().last().unwrap_or_default();
        prop_assume!(!last.contains("ntfy") && !last.contains("://") || last.contains("@ntfy"));
        keeps(&load(Text::Toml(text.clone().into_bytes()), AGENT_TOML), MARKER, &text);
    }
}
