"""Names and sentences for the simulated world: several scripts, emoji, odd characters."""

from __future__ import annotations

APP_NAMES = {
    "chat": ("客服助手 Chat", "Sales FAQ 💬", "Hilfe-Bot", "社内ヘルプデスク"),
    "advanced-chat": ("退款流程 Chatflow", "Onboarding guide 🧭", "Claims triage", "旅行助手"),
    "workflow": ("数据处理 Workflow", "Invoice reader 🧾", "Nightly digest", "翻译流水线"),
    "agent-chat": ("研究代理 Agent 🤖", "Market scout", "Recherche-Agent", "运维代理"),
    "completion": ("文案生成 ✍️", "Subject lines", "Summariser", "商品描述"),
}

DEBUGGING = "Agent Debugging Conversation"  # what Dify calls the talk of an agent being tried

PROMPT = (
    "You are a patient assistant of a company that sells bicycles. Answer in the language of the"
    " question, cite the manual where it helps, and say so when you do not know. 请保持礼貌。"
    " Never promise a refund; name the form instead. Keep answers under two hundred words."
)

QUESTIONS = (
    "Where is my order?",
    "我的订单在哪里？",
    "How do I reset my password?",
    "怎么申请退款？😀",
    "これは何ですか？",
    "Résumé en français s'il vous plaît",
    "explain `SELECT * FROM t;`",
    "line one\nline two\twith a tab",
    'He said "hello" and left; 100% sure?',
    "发票抬头怎么修改",
    "Bulk order for 500 units?",
    "مرحبا، أين طلبي؟",
)

ANSWERS = (
    "It is on its way and should arrive tomorrow.",
    "您好！退款请在订单页面点击“申请退款”。",
    "Open Settings → Security → Reset password.",
    "Voici le résumé demandé.",
    "```sql\nselect count(*) from orders;\n```",
    "I do not know, but I can ask a colleague. 🙏",
    "返金は注文ページから申請できます。",
    "Yes.",
)

COMMENTS = ("很好 👍", "wrong price", "答非所问", "exactly what I needed", "too long; did not read")

CORRECTIONS = ("人工标注的答案 ✅", "Please see page 12 of the manual.", "Only on working days.")

DATASET_NAMES = (
    "产品手册 Manual",
    "Price list",
    "Private notes 🔒",
    "External wiki",
    "Empty shelf",
    "Warranty terms",
)

SESSION_IDS = ("anna{n}@example.com", "张三{n}", "user-{n:03d}", "😀{n}", "tg:{n}")

ERRORS = (
    "[openai] Rate Limit Error, 429 Too Many Requests",
    "Run failed: node llm timed out after 60 s",
    "[openai] Server Unavailable Error, 连接超时",
)
