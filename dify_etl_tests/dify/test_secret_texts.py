"""Secrets in texts that machines write and read, and texts of people, in which examples stay."""

import json
import re
import signal
import tracemalloc
from typing import Any

import pytest

from dify_etl.dify.http.deny_list import (
    SUSPICIOUS,
    json_without_secrets,
    text_without_secrets,
    without_secrets,
)
from dify_etl.dify.http.secret_names import is_secret_name
from dify_etl.dify.http.secret_shapes import REMOVED, text_without_keys

KEY = "9f8a7b6c5d4e3f2a1b0c"


def request(path: str, *headers: str, body: str = "") -> str:
    """The log of an HTTP node, as Dify writes it into process_data."""
    lines = [f"POST {path} HTTP/1.1", "Host: api.example.com", *headers, "Content-Length: 9"]
    return "\r\n".join([*lines, "", body])


HEADERS = [
    *("X-Api-Key", "Authorization", "Cookie", "Set-Cookie", "PRIVATE-TOKEN", "X-Auth-Key"),
    *("Ocp-Apim-Subscription-Key", "x-functions-key", "x-goog-api-key", "X-Auth-Token", "apikey"),
]
QUERIES = [
    *("secret", "key", "sig", "access_token", "client_secret", "password", "pwd", "session_key"),
    *("api_key", "X-Amz-Signature", "sign", "subscription-key"),
]


@pytest.mark.parametrize("name", HEADERS)
def test_header_of_a_request_is_taken_out(name: str) -> None:
    """Of the log of an HTTP node, in which Dify stars one header at most; all else stays."""
    log = request("/v1/x?city=Rome", f"{name}: {KEY}", "Accept: */*", body="plain words")
    kept = json.loads(json_without_secrets(json.dumps({"request": log})))["request"]
    assert kept == log.replace(KEY, REMOVED)


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (f"ApiKey {KEY}", f"ApiKey {REMOVED}"),
        ("Basic YWRtaW46cGFzcw==", f"Basic {REMOVED}"),
        (f"bearer {KEY}", f"bearer {REMOVED}"),
        ("correct horse battery", REMOVED),
        ("*" * 20, "*" * 20),  # as Dify hides it
    ],
)
def test_scheme_of_a_header_stays(value: str, left: str) -> None:
    """Which kind of credential it was can be told, and what Dify hid is as it was."""
    log = request("/", f"Authorization: {value}")
    assert text_without_secrets(log) == request("/", f"Authorization: {left}")


@pytest.mark.parametrize("name", QUERIES)
def test_parameter_of_a_request_is_taken_out(name: str) -> None:
    """In the address and in the form of the body, whatever its value looks like."""
    for value in (KEY, "AbcdefgHijklmn"):
        log = request(f"/t?grant=a&{name}={value}&page=2", body=f"user=bot&{name}={value}&n=1")
        assert text_without_secrets(log) == log.replace(value, REMOVED)


@pytest.mark.parametrize(
    "body",
    [
        '{"username":"bot","password":"Passw0rd99"}',
        '{"username":"bot","pwd":"Passw0rd99"}',
        '--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nPassw0rd99\r\n--b--\r\n',
        "password=Passw0rd99",
        '{"cut": "off", "password": "Passw0rd99", "a',
    ],
)
def test_body_of_a_request_is_looked_through(body: str) -> None:
    """JSON, the parts of a form, a form of one field, and JSON that was cut off."""
    log = request("/login", body=body)
    assert text_without_secrets(log) == log.replace("Passw0rd99", REMOVED)


@pytest.mark.parametrize(
    "held",
    [
        {"db_uri": "mysql+pymysql://root:LEAKssword@10.0.0.1:3306/crm", "query": "select 1"},
        {"tool_input": '{"db_uri": "mysql+pymysql://root:LEAK0rd99@10.0.0.1:3306/crm"}'},
        {"url": "https://hooks.slack.com/services/T000/B000/LEAK7b6c5d4e3f2a1b0c"},
        {"text": "https://open.feishu.cn/open-apis/bot/v2/hook/LEAK7b6c-5d4e-3f2a-1b0c-00000000"},
        {"url": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=LEAK7b6c-5d4e-3f2a"},
        {"k": "sk-proj-LEAKefghijklmnopqrstuvwxyz1234"},
        {"answer": "I used sk-LEAK0123456789abcdefghijkl for it"},
        {
            "code": "import requests\npassword = 'LEAK0rd99'\nKEY = 'AIza"
            + "LEAK1234567890" * 3
            + "'"
        },
        {"body": '{"session_key":"LEAK7b6c5d4e3f==","openid":"o123"}'},
        {"headers": {"X-Auth-Key": "LEAK", "x-functions-key": "LEAK"}},
        {"text": "https://t.me/bot123456789:AALEAKefghijklmnopqrstuvwxyz0123456/send"},
        {"text": "with client_secret=LEAK123def456 it works, and token=LEAK123def456."},
        {"error": "401 for url 'https://maps.test/v1?q=a&key=LEAK1234567890abcdef'"},
        {"type": "http-request", "url": "https://a.test/?appid=x&secret=LEAKabc"},
        {
            "type": "http-request",
            "body": {"type": "raw-text", "data": "grant=password&password=LEAKpass&user=me"},
        },
        {
            "type": "http-request",
            "body": {"type": "json", "data": [{"type": "text", "value": '{"pwd": "LEAK"}'}]},
        },
        {"type": "code", "code": "API_KEY = 'sk-proj-LEAKefghijklmnopqrstuvwxyz'"},
    ],
)
def test_secret_in_a_setting_is_taken_out(held: dict[str, object]) -> None:
    """Addresses, settings, code, keys of providers; the search over columns finds each."""
    text = json.dumps(held, separators=(",", ":"))
    kept = json_without_secrets(text)
    assert "LEAK" not in kept
    assert re.search(SUSPICIOUS, text)
    assert json_without_secrets(kept) == kept


PROSE = [
    "what is a token=… for, and what does ?secret=APPSECRET mean?",
    "Call https://api.weixin.qq.com/cgi-bin/token?grant_type=client_credential&appid=APPID"
    "&secret=APPSECRET to get one.",
    "password = input()\ntoken = tokenizer2.encode(text)\ntoken = tokens2[0]\napi_key = get_key1()",
    "token = response.json()['x1']; use api_key=YOUR_API_KEY or token=<your token>",
    "Connect with postgresql://user:password@localhost/db or redis://:secret@host",
    "pip install sk-learn_is_a_long_package_name; see pk_fields_of_the_table_users",
    "sk_buff_head_init_function_in_kernel, rk-means-clustering-with-large-data",
    "the bearer of bad news; Authorization: Bearer <token>; basic understanding",
    "POST /v1 is sent by HTTP/1.1 and the header X-Api-Key names the caller",
    "https://shop.test/?key=colour&auth=no&sign=leo123456789, https://jira.test/?key=PROJ-12345678",
    "token=req.headers.x1234567, token=getToken1234(), client_secret=your_client_secret",
    "1:AA, 12:30, user:name, a@b.de, https://x.test:8080/a@b",
]


@pytest.mark.parametrize("text", PROSE)
def test_text_of_a_person_stays(text: str) -> None:
    """Questions about tokens and code that explains them, by themselves and in JSON."""
    assert text_without_secrets(text) == text
    assert without_secrets({"query": text}) == {"query": text}


@pytest.mark.parametrize(
    "name",
    [
        *("secretary", "activation", "prior_authorization", "password_help", "passwordPolicy"),
        *("favourite_cookies", "forgotPasswordMessage", "credentialed", "tokenizer", "keyword"),
        *("password_length", "secret_expires_at", "authorizationStatus", "pagetoken"),
    ],
)
def test_word_that_only_begins_like_a_secret_is_none(name: str) -> None:
    """Names are read by their words."""
    assert not is_secret_name(name)
    assert without_secrets({name: "Ms Miller"}) == {name: "Ms Miller"}


@pytest.mark.parametrize(
    "name",
    [
        *("clientSecret", "APIKey", "openai_api_key_2", "API_KEY_PROD", "dbpassword", "PASSWD"),
        *("secretAccessKey", "AWS_SECRET_ACCESS_KEY", "accesstoken", "Proxy-Authorization"),
        *("jwtSecret", "userPwd", "password1", "credentials", "activationLink", "session_key"),
        *("passphrase", "x-api-key", "session cookie", "secret_key_base", "smtp.password"),
    ],
)
def test_secret_is_known_however_its_name_is_written(name: str) -> None:
    """By its words, with a number behind, in one; and the search over columns finds it."""
    assert is_secret_name(name)
    assert re.search(SUSPICIOUS, f'{{"{name}":"x"}}')


@pytest.mark.parametrize(
    "text",
    [
        "token" * 20_000,
        "-eyJaaaaaaaaaa" * 7_000 + " token=",
        "?key=" + "a" * 100_000,
        "a://" + "b" * 100_000 + ":c@",
        "GET /" + "a" * 100_000 + " HTTP/1.1\r\n" + "x:" * 50_000 + "\r\n\r\n" + "a=" * 50_000,
        "bearer " * 15_000,
        '"password": "' + "\\" * 50_000,
        "sk-" * 30_000 + "bearer ",
    ],
    ids=range(8),
)
def test_long_text_of_a_stranger_holds_nobody_up(text: str) -> None:
    """No pattern looks again and again through the same letters."""

    def give_up(number: int, frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(10)
    try:
        text_without_secrets(text, is_machine=True)
        without_secrets({"request": text, "url": text, "query": text})
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


DOTTED = "1234567890abcdef1234567890abcdef.AbCdEfGhIjKlMnOp"


@pytest.mark.parametrize("depth", [1, 100, 250, 400, 1_000, 3_000, 50_000])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_secret_in_deep_json_is_taken_out(depth: int, begin: str, end: str) -> None:
    """Anybody may send an app lists in lists: neither is the text too deep to be looked through,
    nor does it hold the loading of its neighbours up.
    """
    inner = f'{{"token": "{KEY}", "left": "as it is"}}'
    text = begin * depth + inner + end * depth
    found = text_without_secrets(text)
    assert KEY not in found
    assert "as it is" in found
    assert found.startswith(begin * depth)


def test_secret_in_a_deep_value_is_taken_out() -> None:
    """As parsers make it, as deep as they go and deeper."""
    value: Any = {"token": KEY}
    for _ in range(5_000):
        value = [{"a": value}]
    kept = without_secrets(value)
    for _ in range(5_000):
        kept = kept[0]["a"]
    assert kept == {"token": REMOVED}


@pytest.mark.parametrize("end", ['"', "\n", ""])
def test_long_secret_in_a_text_takes_little_memory(end: str) -> None:
    """A file that stands in a text as the value of a token: not a hundred times its size."""
    text = 'as told: "access_token": "' + "abc def " * 200_000 + end
    tracemalloc.start()
    try:
        found = text_without_secrets(text)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (found == text) is (end != '"')
    assert most < 20 * len(text)


@pytest.mark.parametrize(
    "text",
    [
        f"api_key = {DOTTED}",
        f"curl -d api_key={DOTTED} https://x",
        "DISCORD_TOKEN=MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs",
        "api_key\n=abcdef1234567890abcd",
        "Bearer\nabcdef1234567890",
        "token\t=abcdef1234567890",
    ],
)
def test_key_behind_a_word_of_prose_is_taken_out(text: str) -> None:
    """With dots and with other spaces too; and no column that holds it is passed over."""
    assert REMOVED in text_without_secrets(text)
    assert re.search(SUSPICIOUS, text)


@pytest.mark.parametrize("space", ["\n", "\r\n", "\t", " "], ids=repr)
@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("word", ["Bearer{}", "Authorization: Basic{}", "api_key{}=", "token{}="])
def test_space_of_a_text_in_json_is_a_space(word: str, space: str, depth: int) -> None:
    """Before a token a line may end; in JSON, and in JSON within JSON, that is `\\n`."""
    text = f"call it with {word.format(space[-1])}abcdef1234567890abcd"
    for _ in range(depth):
        text = json.dumps({"text": text})
    assert re.search(SUSPICIOUS, text)
    assert "abcdef1234567890abcd" not in text_without_secrets(text)
    column = json.dumps({"answer": text})
    assert re.search(SUSPICIOUS, column)
    assert "abcdef1234567890abcd" not in json_without_secrets(column)


@pytest.mark.parametrize(
    "text",
    [f"my key is {DOTTED}, does it work?", DOTTED, f"智谱:{DOTTED}。", f"a\\n{DOTTED}"],
)
def test_key_of_zhipu_is_known_without_a_word_before_it(text: str) -> None:
    """Its id of 32 hexadecimal digits, a dot, and a secret of 16 letters and digits."""
    assert text_without_secrets(text) == text.replace(DOTTED, REMOVED)
    assert re.search(SUSPICIOUS, text)


@pytest.mark.parametrize(
    "text",
    [
        "d41d8cd98f00b204e9800998ecf8427e.jpeg and d41d8cd98f00b204e9800998ecf8427e.",
        "https://cdn.test/d41d8cd98f00b204e9800998ecf8427e.min.js",
        f"{DOTTED}Qrst is longer, and f{DOTTED} too",
        "GET /list?pageToken=abc12345xyz&page-token=abc12345xyz&next-page-token=abc12345xyz",
        "page-token=abc12345xyz, then firstToken = abc12345xyz",
    ],
)
def test_names_of_files_and_places_in_a_list_are_no_keys(text: str) -> None:
    """A file may be named by its checksum, and pages have tokens that open nothing."""
    assert text_without_secrets(text) == text
    assert text_without_keys(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "max_token = 12345678, and total token=12345678 per day",
        "https://x/list?page_token=abc12345xyz&next_page_token=abc12345xyz",
        "token = user.token_2024",
    ],
)
def test_figures_and_places_in_a_list_are_no_keys(text: str) -> None:
    """What a person wrote of them stays."""
    assert text_without_secrets(text) == text


@pytest.mark.parametrize("text", ["invalid api_key=abcdef1234567890abcd", "token=abcdef123456789"])
def test_text_of_an_error_is_looked_through(text: str) -> None:
    """As Dify answers what a provider said: machines tell no less than people."""
    assert text_without_keys(f"provider said: {text}").endswith(f"={REMOVED}")
