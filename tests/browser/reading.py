"""Reading a page as its readers do: its words, its outline, where the focus is, what axe-core says."""

import re
from typing import Any

from axe_playwright_python.base import AXE_FILE_NAME
from playwright.sync_api import Page, ViewportSize

_CONTRAST = "color-contrast"
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_RULES = {
    "resultTypes": ["violations"],  # not the list of all that is right: bringing it here takes as long as finding it
    "runOnly": {"type": "tag", "values": _TAGS}, "rules": {_CONTRAST: {"enabled": False}},
}  # fmt: skip

# Words that stay Latin on a Chinese page: names of things that have no other.
LATIN = {
    "Quitledger", "Fagerström", "CSV", "ODS", "JSON", "ppm", "VPN", "QR", "Code", "PIN", "App", "Cookie", "Proxy", "JavaScript",
    "Google", "Microsoft", "Authenticator", "XLSX", "UTF-", "Big", "English", "MB", "PDF", "SHA-",
}  # fmt: skip
_LATIN_WORD = re.compile(r"[A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'’-]*")
_DATA = re.compile(r"[A-Z0-9]{3}\*+[0-9]+|\b[NT]-[0-9]{3,4}\b")  # masked identity numbers, chart numbers of the world

# What is asked is asked at once: each question goes through three processes and back.
_OUTLINE = """() => {
  const texts = [document.title];
  const walk = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    if (!walk.currentNode.parentElement.closest("script, style, noscript, code, kbd")) texts.push(walk.currentNode.nodeValue);
  }
  for (const element of document.querySelectorAll("*")) {
    for (const name of ["alt", "title", "placeholder", "aria-label", "aria-description", "data-label", "content"]) {
      if (element.hasAttribute(name) && element.name !== "viewport") texts.push(element.getAttribute(name));
    }
  }
  const shown = (element) => element.checkVisibility() && !element.closest("[aria-hidden=true]");
  const controls = [...document.querySelectorAll("input:not([type=hidden]), select, textarea")];
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  return {
    language: document.documentElement.lang,
    headings: [...document.querySelectorAll("h1")].filter(shown).length,
    titles: document.querySelectorAll("head > title").length,
    unlabelled: controls.filter((c) => !c.labels.length && !c.ariaLabel).map((c) => c.outerHTML),
    twice: ids.filter((id, place) => ids.indexOf(id) !== place),
    described: [...document.querySelectorAll("[aria-describedby], [aria-labelledby]")].flatMap((element) =>
      `${element.getAttribute("aria-describedby") || ""} ${element.getAttribute("aria-labelledby") || ""}`
        .split(" ").filter((id) => id && !document.getElementById(id))),
    strip: document.querySelector("aside.demo")?.innerText || "",
    foot: document.querySelector("footer")?.innerText || "",
    texts: texts.map((text) => text.trim()).filter(Boolean),
    markup: document.documentElement.outerHTML,
  };
}"""

# axe-core's rule of contrast on the kinds of text that are not known to be readable, three texts of each (the first may be
# cut off, which tells nothing): what it finds, and the kinds of those that it finds readable.
_UNREADABLE = """async (known) => {
  const grounds = new Map();
  const ground = (element) => {
    if (!element) return "";
    if (!grounds.has(element)) {
      const { backgroundColor, backgroundImage, opacity, filter } = getComputedStyle(element);
      const own = [backgroundColor, backgroundImage, opacity, filter].join();
      const behind = ground(element.parentElement);
      grounds.set(element, own === "rgba(0, 0, 0, 0),none,1,none" ? behind : `${own}/${behind}`);
    }
    return grounds.get(element);
  };
  const off = (element) => Boolean(element.closest("[aria-disabled=true], fieldset[disabled], :disabled")
    || element.closest("label")?.control?.matches(":disabled"));
  const kindOf = (element) => {
    const { color, fontSize, fontWeight, textShadow } = getComputedStyle(element);
    const control = element.matches("input, select, textarea, button") ? element.localName : "";
    return [control, off(element), color, fontSize, fontWeight, textShadow, ground(element)].join(";");
  };
  const elements = new Set(document.querySelectorAll("input:not([type=hidden]), select, textarea"));
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) if (walk.currentNode.nodeValue.trim()) elements.add(walk.currentNode.parentElement);
  const kinds = new Map(), before = new Set(known), few = new Map();
  for (const element of elements) {
    const { width, height } = element.getBoundingClientRect();
    if (width <= 1 || height <= 1 || !element.checkVisibility()) continue;
    const kind = kindOf(element);
    kinds.set(element, kind);
    if (before.has(kind)) continue;
    if (!few.has(kind)) few.set(kind, []);
    if (few.get(kind).length < 3) few.get(kind).push(element);
  }
  if (!few.size) return [[], []];
  const found = await axe.run({ include: [...few.values()].flat() }, {
    runOnly: ["color-contrast"], resultTypes: ["violations", "passes"], elementRef: true,
  });
  const said = (rules) => rules.flatMap((rule) => rule.nodes);
  const readable = new Set(said(found.passes).map((node) => kinds.get(node.element)));
  for (const node of said(found.violations)) readable.delete(kinds.get(node.element));
  const told = (node) => ({ target: node.target, failureSummary: node.failureSummary });
  return [
    found.violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(told) })),
    [...readable].filter(Boolean),
  ];
}"""

# After a key was pressed, a focus set by script counts as one by keyboard.
_UNSEEN_FOCUS = """() => {
  const all = document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, [tabindex='0']");
  return [...all].filter((element) => {
    if (element.tabIndex < 0 || !element.checkVisibility()) return false;
    element.focus();
    const style = getComputedStyle(element);
    return document.activeElement !== element || style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2;
  }).map((element) => element.outerHTML.slice(0, 200));
}"""

_TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > width + 1)
    .map((element) => element.outerHTML.slice(0, 120));
}"""


# axe-core comes from the site (served.py): half a megabyte handed over by Playwright each time takes longer than the rules.
_AXE = f"""async ([options, known]) => {{
  if (!("axe" in window)) await new Promise((resolve, reject) => {{
    const script = document.createElement("script");
    Object.assign(script, {{ src: "/static/{AXE_FILE_NAME}", onload: resolve, onerror: reject }});
    document.head.append(script);
    script.remove();
  }});
  const {{ violations }} = await axe.run(options);
  const [unread, readable] = await ({_UNREADABLE})(known);
  return [[...violations, ...unread], readable];
}}"""

_READABLE: set[str] = set()  # kinds of text that axe-core found readable


def axe_findings(page: Page) -> list[str]:
    """What axe-core finds: the rule, the element, what is wrong with it.

    Of contrast nothing counts but the colours, the size and weight of a text and the grounds that it stands on: as it takes
    longer than all other rules together, a kind of text that was readable on one page is not looked at again on the next.
    """
    violations, readable = page.evaluate(_AXE, [_RULES, list(_READABLE)])
    _READABLE.update(readable)
    return [
        f"{rule['id']} {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for rule in violations
        for node in rule["nodes"]
    ]


def latin_words(texts: list[str], *, data: tuple[str, ...] = ()) -> list[str]:
    """Those of the texts with words in Latin letters that are neither in LATIN nor part of somebody's `data`."""
    found = []
    for text in texts:
        rest = _DATA.sub("", text)
        for own in data:
            rest = rest.replace(own, "")
        if any(word not in LATIN for word in _LATIN_WORD.findall(rest)):
            found.append(text)
    return found


# What is data of the world and stays Chinese on an English page.
_CHINESE_DATA = re.compile(
    r"示範路 [0-9]+ 號|[^\s，；]*（示範品項[甲乙丙]）|示範[^，。；：、\s]*|瑪麗亞・安潔莉卡・羅莎琳達・示範之名很長|臺北市|臺中市|高雄市|訓練證明"
    r"|全國網路中斷|出生日期打錯，同一人|以為是同一人|其實是兩個人|停業|晚上睡不好，改為早上貼；下次帶家屬一起來。|更正後的備註：改為早上貼；下次帶家屬一起來。|看診後系統無法連線，漏未登錄。|請補第 2 頁。|請附個案紀錄表。|不需要了|待個案回診。|家屬陪同，想先試貼片|我填的備註|打到一半|未完|逾時前填的|辦公室電腦|到三月底|我的說明"
)
_CHINESE = re.compile("[一-鿿：，、；（）「」。]")
_CHINESE_TEXTS = """() => {
  const texts = [document.title];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const here = walk.currentNode.parentElement;
    if (!here.closest("script, style, [lang^=zh]")) texts.push(walk.currentNode.nodeValue);
  }
  for (const element of document.querySelectorAll("body *")) {
    for (const name of ["alt", "title", "placeholder", "aria-label", "data-label", "data-kept", "data-failed"]) {
      if (element.hasAttribute(name)) texts.push(element.getAttribute(name));
    }
  }
  return texts;
}"""


# In place of what is shown: the same style sheet, and nothing of scripts, which say nothing that is not in the page.
_IN_PLACE = """(answer) => {
  const page = new DOMParser().parseFromString(answer, "text/html");
  document.documentElement.lang = page.documentElement.lang;
  document.title = page.title;
  document.body.replaceWith(page.body);
}"""


def in_place(page: Page) -> int:
    """The page's address, asked with its cookies once more, in place of what is shown. The answer's status."""
    answer = page.context.request.get(page.url)
    page.evaluate(_IN_PLACE, answer.text())
    return answer.status


def chinese_words(page: Page, *, data: tuple[str, ...] = ()) -> list[str]:
    """Texts of an English page with Chinese that is neither data nor marked as Chinese."""
    found = []
    for text in page.evaluate(_CHINESE_TEXTS):
        rest = text
        for own in data:
            rest = rest.replace(own, "")
        if _CHINESE.search(_CHINESE_DATA.sub("", rest)):
            found.append(text.strip())
    return found


def outline(page: Page) -> dict[str, Any]:
    """Language, number of headings and titles, controls without label, ids used twice or not there, strip, footer; the markup
    and every text, shown or read aloud: text nodes, title, labels; not keys and code.
    """
    found: dict[str, Any] = page.evaluate(_OUTLINE)
    return found


def unseen_focus(page: Page) -> list[str]:
    """Whatever can be reached with the keyboard and does not show that it has the focus."""
    page.keyboard.press("Tab")
    found: list[str] = page.evaluate(_UNSEEN_FOCUS)
    return found


def resize(page: Page, size: ViewportSize) -> None:
    """The window as large as that, which it may be already."""
    if page.viewport_size != size:
        page.set_viewport_size(size)


def too_wide(page: Page) -> list[str]:
    """Elements that make the whole page scroll sideways."""
    found: list[str] = page.evaluate(_TOO_WIDE)
    return found
