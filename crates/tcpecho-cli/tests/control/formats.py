"""Text in the formats of the document, for schemathesis: faults and conditions that tcpecho serve accepts."""

import schemathesis
from hypothesis import strategies as st

count = st.integers(min_value=1, max_value=1000).map(str)
time = st.integers(min_value=0, max_value=2000).map(lambda ms: f"{ms}ms")
reading = st.one_of(
    st.just("echo all"),
    st.builds(lambda step, n: f"{step} {n}", st.sampled_from(["echo", "discard", "corrupt", "drop", "repeat"]), count),
    st.just("wait-fin"),
    st.just('expect "x"'),
)
sending = st.one_of(
    st.just('send "hello\\r\\n"'),
    st.builds(lambda n: f"rate {n}/s", count),
    st.builds(lambda n, t: f"chunk {n} every {t}", count, time),
)
step = st.one_of(reading, sending, time.map(lambda t: f"pause {t}"))
ending = st.sampled_from(["", "; close", "; reset", "; close-unread", "; stop-reading", "; fin; wait-fin"])
script = st.builds(lambda steps, end: "; ".join(steps) + end, st.lists(step, min_size=1, max_size=5), ending)
preset = st.one_of(
    st.builds(lambda name, n: f"{name}={n}", st.sampled_from(["reset-after", "truncate", "corrupt"]), count),
    st.builds(lambda t: f"delay={t}", time),
    st.sampled_from(["half-close", "zero-window", "reset-on-accept", "banner=\"220 ready\""]),
)
when = st.one_of(
    st.just("all"),
    count.map(lambda n: f"every={n}"),
    st.sampled_from(["probability=0.5", "peer=127.0.0.0/8", "peer=fd00::/8", "first=10s", "9-"]),
    count,
)

schemathesis.openapi.format("tcpecho-fault", st.one_of(script, preset))
schemathesis.openapi.format("tcpecho-when", when)
