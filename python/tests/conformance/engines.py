"""The engines of `tcpecho serve --engine list`."""

ENGINES = ("iterative", "fork", "thread", "epoll", "uring")
