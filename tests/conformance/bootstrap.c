/* A runtime in C without any library: asks for invocations and answers each with its own event, byte for byte. */

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char head[16384];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int dial(void) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64];
    snprintf(host, sizeof host, "%s", getenv("AWS_LAMBDA_RUNTIME_API"));
    char *port = strchr(host, ':');
    *port++ = '\0';
    address.sin_port = htons(atoi(port));
    inet_pton(AF_INET, host, &address.sin_addr);
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&address, sizeof address)) fail("connect");
    return connection;
}

static void send_all(int connection, const char *data, size_t size) {
    while (size) {
        ssize_t sent = write(connection, data, size);
        if (sent <= 0) fail("write");
        data += sent, size -= sent;
    }
}

/* Reads one answer; the answer is its body, and `size` its length. The head stays in `head`. */
static char *receive(int connection, size_t *size) {
    size_t have = 0;
    char *end;
    for (;;) {
        ssize_t got = read(connection, head + have, sizeof head - 1 - have);
        if (got <= 0) fail("read");
        head[have += got] = '\0';
        if ((end = strstr(head, "\r\n\r\n"))) break;
    }
    end[2] = '\0';
    char *length = strcasestr(head, "content-length:");
    *size = length ? strtoul(length + 15, NULL, 10) : 0;
    char *body = malloc(*size + 1);
    size_t filled = have - (end + 4 - head);
    memcpy(body, end + 4, filled);
    while (filled < *size) {
        ssize_t got = read(connection, body + filled, *size - filled);
        if (got <= 0) fail("read");
        filled += got;
    }
    return body;
}

int main(void) {
    const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
    int connection = dial();
    char request[512];
    for (;;) {
        size_t size, ignored;
        int length = snprintf(request, sizeof request, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: %s\r\n\r\n", api);
        send_all(connection, request, length);
        char *event = receive(connection, &size);
        char id[37] = "";
        sscanf(strcasestr(head, "lambda-runtime-aws-request-id:") + 30, " %36s", id);
        printf("answering %s\n", id);
        fflush(stdout);
        length = snprintf(request, sizeof request,
                          "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: %s\r\nContent-Length: %zu\r\n\r\n",
                          id, api, size);
        send_all(connection, request, length);
        send_all(connection, event, size);
        free(event);
        free(receive(connection, &ignored));
    }
}
