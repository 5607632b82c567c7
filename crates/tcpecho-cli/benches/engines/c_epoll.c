/* The baseline: the smallest TCP echo that is still right. Level-triggered epoll, one shared buffer,
 * and strict back-pressure: what could not be sent is kept, and the peer is not read until it is gone.
 * It measures TCP and the system calls, and nothing else. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 64 * 1024, BACKLOG = 4096, TURN = 256, DESCRIPTORS = 1 << 16 };

struct rest {
	char *bytes;
	size_t from, to;
};

static char buffer[BUFFER];
static struct rest rests[DESCRIPTORS]; /* by descriptor; untouched pages cost nothing */
static int queue;

static void fail(const char *call)
{
	perror(call);
	exit(2);
}

static void watch(int operation, int fd, unsigned events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};
	if (epoll_ctl(queue, operation, fd, &event) < 0)
		fail("epoll_ctl");
}

static void end(int fd)
{
	free(rests[fd].bytes);
	rests[fd] = (struct rest){0};
	close(fd);
}

static int again(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static void keep(int fd, const char *bytes, size_t length)
{
	struct rest *rest = &rests[fd];
	if (!(rest->bytes = malloc(length))) {
		end(fd);
		return;
	}
	memcpy(rest->bytes, bytes, length);
	rest->from = 0;
	rest->to = length;
	watch(EPOLL_CTL_MOD, fd, EPOLLOUT);
}

static void echo(int fd)
{
	ssize_t got = recv(fd, buffer, sizeof buffer, 0);
	if (got < 0 && again())
		return;
	if (got <= 0) { /* nothing is owed here: reading waits for the rest to go out */
		end(fd);
		return;
	}
	ssize_t sent = send(fd, buffer, got, MSG_NOSIGNAL);
	if (sent < 0 && !again())
		end(fd);
	else if (sent < got)
		keep(fd, buffer + (sent < 0 ? 0 : sent), got - (sent < 0 ? 0 : sent));
}

static void flush(int fd)
{
	struct rest *rest = &rests[fd];
	ssize_t sent = send(fd, rest->bytes + rest->from, rest->to - rest->from, MSG_NOSIGNAL);
	if (sent < 0) {
		if (!again())
			end(fd);
		return;
	}
	rest->from += sent;
	if (rest->from == rest->to) {
		free(rest->bytes);
		*rest = (struct rest){0};
		watch(EPOLL_CTL_MOD, fd, EPOLLIN);
	}
}

static void admit(int listener)
{
	int one = 1, fd;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		if (fd >= DESCRIPTORS) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		watch(EPOLL_CTL_ADD, fd, EPOLLIN);
	}
}

static int listen_somewhere(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0)
		fail("bind");
	if (listen(fd, BACKLOG) < 0)
		fail("listen");
	getsockname(fd, (struct sockaddr *)&address, &length);
	printf("listening on 127.0.0.1:%d engine=c_epoll workers=1 backlog=%d\n",
	       ntohs(address.sin_port), BACKLOG);
	fflush(stdout);
	return fd;
}

int main(void)
{
	struct epoll_event events[TURN];
	if ((queue = epoll_create1(EPOLL_CLOEXEC)) < 0)
		fail("epoll_create1");
	int listener = listen_somewhere();
	watch(EPOLL_CTL_ADD, listener, EPOLLIN);
	for (;;) {
		int ready = epoll_wait(queue, events, TURN, -1);
		for (int i = 0; i < ready; i++) {
			int fd = events[i].data.fd;
			if (fd == listener)
				admit(listener);
			else if (rests[fd].bytes)
				flush(fd);
			else
				echo(fd);
		}
	}
}
