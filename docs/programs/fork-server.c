/* A server with a child for each client, as UNP 5.2, 5.3 and 5.10 describe it. With -DREAP it has a SIGCHLD handler
 * that waits for every child that has ended (UNP 5.10); without, it has none (UNP 5.8).
 * Usage: fork-server PORT */

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

#ifdef REAP
static void reap(int signal_number)
{
    int before = errno;
    (void)signal_number;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    errno = before;
}
#endif

static void echo(int fd)
{
    char bytes[4096];
    for (;;) {
        ssize_t length = read(fd, bytes, sizeof bytes);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            fail("read");
        if (length == 0)
            return;
        for (ssize_t sent = 0; sent < length;) {
            ssize_t written = write(fd, bytes + sent, (size_t)(length - sent));
            if (written < 0 && errno == EINTR)
                continue;
            if (written < 0)
                fail("write");
            sent += written;
        }
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    int listener, on = 1;

    if (argc != 2) {
        fprintf(stderr, "usage: fork-server PORT\n");
        return 2;
    }
    any.sin6_port = htons((uint16_t)atoi(argv[1]));
    if ((listener = socket(AF_INET6, SOCK_STREAM, 0)) < 0)
        fail("socket");
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        fail("setsockopt");
    if (bind(listener, (struct sockaddr *)&any, sizeof any) < 0)
        fail("bind");
    if (listen(listener, 128) < 0)
        fail("listen");
#ifdef REAP
    struct sigaction action = {.sa_handler = reap};
    if (sigaction(SIGCHLD, &action, NULL) < 0)
        fail("sigaction");
#endif
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (connection < 0)
            fail("accept");
        pid_t child = fork();
        if (child < 0)
            fail("fork");
        if (child == 0) {
            close(listener);
            echo(connection);
            exit(0);
        }
        close(connection);
    }
}
