/* A line client as UNP 5.4 and 5.5 describe it: it blocks in fgets, writes the line, and blocks until the line is back.
 * Usage: line-client ADDRESS PORT */

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LONGEST 4096

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* Writes all of it, whatever write takes at a time (UNP 3.9). */
static void write_all(int fd, const char *bytes, size_t left)
{
    while (left > 0) {
        ssize_t written = write(fd, bytes, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            fail("write");
        bytes += written;
        left -= (size_t)written;
    }
}

static char buffer[LONGEST];
static size_t begin, end;

/* One byte out of a buffer; 0 at the end of the stream. */
static int next_byte(int fd, char *byte)
{
    while (begin == end) {
        ssize_t length = read(fd, buffer, sizeof buffer);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            fail("read");
        if (length == 0)
            return 0;
        begin = 0;
        end = (size_t)length;
    }
    *byte = buffer[begin++];
    return 1;
}

/* A line, or as much of one as fgets would give; 0 at the end of the stream. */
static size_t read_line(int fd, char *line, size_t most)
{
    size_t length = 0;
    while (length < most - 1 && next_byte(fd, &line[length]))
        if (line[length++] == '\n')
            break;
    line[length] = 0;
    return length;
}

int main(int argc, char **argv)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *server;
    char sent[LONGEST], received[LONGEST];

    if (argc != 3 || getaddrinfo(argv[1], argv[2], &hints, &server) != 0) {
        fprintf(stderr, "usage: line-client ADDRESS PORT\n");
        return 2;
    }
    int fd = socket(server->ai_family, SOCK_STREAM, 0);
    if (fd < 0)
        fail("socket");
    if (connect(fd, server->ai_addr, server->ai_addrlen) < 0)
        fail("connect");
    freeaddrinfo(server);
    while (fgets(sent, sizeof sent, stdin) != NULL) {
        write_all(fd, sent, strlen(sent));
        if (read_line(fd, received, sizeof received) == 0) {
            fprintf(stderr, "the server terminated prematurely\n");
            return 1;
        }
        fputs(received, stdout);
        fflush(stdout);
    }
    return 0;
}
