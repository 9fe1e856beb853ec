/* The load generator: many WebSocket clients in one thread, several times faster than any server.
 *
 * It handles lines on its standard input (see load.py) and answers each command with one JSON line.
 * Frames are told apart by how their text begins, so nothing is parsed that needs no parsing. The
 * mask of its own frames is zero, which the protocol allows.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum state { UNOPENED, CONNECTING, SHAKING, ENTERING, IN, LOST };

struct client {
    int fd, port, sends, waiting;
    enum state state;
    char *path;
    unsigned char *rest; /* the beginning of a frame whose end has not come */
    size_t rest_size;
};

struct word { char *text; size_t size; };

/* One receipt of a timed text: when it was sent, after how long it was received, and by which client. */
struct receipt { int64_t sent, after; int client; };

static struct client *clients;
static int count, room_for, epoll, launched, entered, lost, in_flight = 64;
static char host[64] = "127.0.0.1";
static int port;
static struct word ready, delivery, answer, hello, ping, pong;
static char *template;
static int padding = 60;
static long long number;

static long long deliveries, answers, bytes, sent;
static int running, timing;
/* In a strict loop: the receipts of the last message that have not come, and its sender. */
static int strict;
static long long owed;
static struct client *sender;
static int offers, compressed; /* Sockets offer permessage-deflate; so many servers accepted it. */
static struct receipt *times;
static size_t timed, times_for;

static unsigned char buffer[1 << 20];
static char input[1 << 16];
static size_t input_size;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static double cpu(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec
        + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static int begins(const unsigned char *text, size_t size, struct word word)
{
    return word.size && size >= word.size && !memcmp(text, word.text, word.size);
}

/* Clients */

static void lose(struct client *c)
{
    if (c->state == LOST)
        return;
    if (c->state != UNOPENED)
        close(c->fd);
    c->state = LOST;
    c->waiting = 0;
    lost++;
}

static void put(struct client *c, int opcode, const char *text, size_t size)
{
    unsigned char frame[1 << 16];
    size_t at = 0;
    if (size > 60000)
        return;
    frame[at++] = 0x80 | opcode;
    if (size < 126) {
        frame[at++] = 0x80 | size;
    } else {
        frame[at++] = 0x80 | 126;
        frame[at++] = size >> 8;
        frame[at++] = size & 255;
    }
    memset(frame + at, 0, 4);
    at += 4;
    memcpy(frame + at, text, size);
    if (send(c->fd, frame, at + size, MSG_NOSIGNAL) != (ssize_t)(at + size))
        lose(c);
}

/* The template with $T replaced by a timed, padded text and $I by a number. */
static void send_next(struct client *c)
{
    char text[1 << 16], *to = text;
    for (const char *from = template; *from;) {
        if (from[0] == '$' && from[1] == 'T') {
            int wrote = sprintf(to, "t=%019lld;", (long long)now_ns());
            to += wrote;
            for (; wrote < padding; wrote++)
                *to++ = 'x';
            from += 2;
        } else if (from[0] == '$' && from[1] == 'I') {
            to += sprintf(to, "%lld", number++);
            from += 2;
        } else {
            *to++ = *from++;
        }
    }
    c->waiting = 1;
    sent++;
    put(c, 1, text, to - text);
}

static void note_time(struct client *c, const unsigned char *text, size_t size)
{
    const char *mark = memmem(text, size, "t=", 2);
    if (!mark || mark + 21 > (const char *)text + size)
        return;
    if (timed == times_for) {
        times_for = times_for ? times_for * 2 : 1 << 16;
        times = realloc(times, times_for * sizeof *times);
    }
    int64_t at = atoll(mark + 2);
    times[timed++] = (struct receipt){at, now_ns() - at, c - clients};
}

static void enter(struct client *c)
{
    c->state = IN;
    entered++;
}

/* Only when all members have the last message. */
static void send_to_all(struct client *c)
{
    owed = 0;
    for (int i = 0; i < count; i++)
        owed += clients[i].state == IN;
    sender = c;
    send_next(c);
}

/* Compressed texts are counted, not read: the first is taken for `ready`, all others for messages. */
static void take_compressed(struct client *c, size_t size)
{
    if (c->state == ENTERING) {
        enter(c);
        return;
    }
    deliveries++;
    bytes += size;
}

static void take(struct client *c, int opcode, const unsigned char *text, size_t size)
{
    if (opcode == 9) {
        put(c, 10, (const char *)text, size);
        return;
    }
    if (opcode == 8) {
        lose(c);
        return;
    }
    if (begins(text, size, delivery)) {
        deliveries++;
        bytes += size;
        if (timing)
            note_time(c, text, size);
        if (strict && !--owed && running)
            send_to_all(sender);
    } else if (c->state == ENTERING && begins(text, size, ready)) {
        enter(c);
    } else if (ping.size && size == ping.size && begins(text, size, ping)) {
        put(c, 1, pong.text, pong.size);
    }
    if (c->sends && c->waiting && begins(text, size, answer)) {
        c->waiting = 0;
        answers++;
        if (running && !strict)
            send_next(c);
    }
}

/* Takes whole frames; returns how many bytes they were. */
static size_t take_frames(struct client *c, unsigned char *data, size_t size)
{
    size_t at = 0;
    while (c->state != LOST && size - at >= 2) {
        size_t length = data[at + 1] & 127, head = 2;
        if (length == 126) {
            if (size - at < 4)
                break;
            length = data[at + 2] << 8 | data[at + 3];
            head = 4;
        } else if (length == 127) {
            if (size - at < 10)
                break;
            length = 0;
            for (int i = 2; i < 10; i++)
                length = length << 8 | data[at + i];
            head = 10;
        }
        if (size - at < head + length)
            break;
        if (data[at] & 0x40)
            take_compressed(c, length);
        else
            take(c, data[at] & 15, data + at + head, length);
        at += head + length;
    }
    return at;
}

static size_t take_handshake(struct client *c, unsigned char *data, size_t size)
{
    unsigned char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (size < 12 || memcmp(data + 9, "101", 3)) {
        lose(c);
        return size;
    }
    if (memmem(data, end - data, "permessage-deflate", 18))
        compressed++;
    c->state = ENTERING;
    if (hello.size)
        put(c, 1, hello.text, hello.size);
    if (!ready.size)
        enter(c);
    return end + 4 - data;
}

static void readable(struct client *c)
{
    memcpy(buffer, c->rest, c->rest_size);
    ssize_t got = recv(c->fd, buffer + c->rest_size, sizeof buffer / 2, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            lose(c);
        return;
    }
    size_t size = c->rest_size + got, at = 0;
    if (c->state == SHAKING)
        at = take_handshake(c, buffer, size);
    if (c->state == ENTERING || c->state == IN)
        at += take_frames(c, buffer + at, size - at);
    c->rest_size = size - at;
    if (c->rest_size) {
        c->rest = realloc(c->rest, c->rest_size);
        memcpy(c->rest, buffer + at, c->rest_size);
    }
}

static void launch(struct client *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(c->port)};
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
    int on = 1;
    inet_pton(AF_INET, host, &address.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    c->state = CONNECTING;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (c->fd < 0 || (connect(c->fd, (void *)&address, sizeof address) && errno != EINPROGRESS)
        || epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event))
        lose(c);
}

static void connected(struct client *c)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int size = snprintf((char *)buffer, sizeof buffer,
        "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
        c->path, host, c->port,
        offers ? "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" : "");
    c->state = SHAKING;
    if (send(c->fd, buffer, size, MSG_NOSIGNAL) != size || epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event))
        lose(c);
}

/* Waits until something happens or the time has come. With `commands`, returns 1 for a command. */
static int pump(int64_t until, int commands)
{
    struct epoll_event events[512];
    int64_t left = until - now_ns();
    struct timespec wait = {left / 1000000000, left % 1000000000};
    int n = left <= 0 ? epoll_wait(epoll, events, 512, 0)
                      : epoll_pwait2(epoll, events, 512, &wait, NULL);
    int command = 0;
    for (int i = 0; i < n; i++) {
        struct client *c = events[i].data.ptr;
        if (!c)
            command = 1;
        else if (c->state == CONNECTING)
            connected(c);
        else if (c->state != LOST)
            readable(c);
    }
    return command && commands;
}

/* While a command runs the next one waits in the pipe: standard input is not watched. */
static void watch_input(int on)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, 0, &event);
}

/* Commands */

static void open_all(double within)
{
    int64_t start = now_ns(), until = start + within * 1e9;
    while (entered + lost < count && now_ns() < until) {
        while (launched < count && launched - entered - lost < in_flight)
            launch(&clients[launched++]);
        pump(until, 0);
    }
    printf("{\"entered\": %d, \"lost\": %d, \"compressed\": %d, \"seconds\": %.6f}\n", entered,
        lost, compressed, (now_ns() - start) / 1e9);
}

/* Lets what is under way arrive: until all is answered and nothing has come for a while. */
static void settle(double within)
{
    int64_t until = now_ns() + within * 1e9, quiet = 0;
    long long before = -1;
    while (now_ns() < until) {
        int open = 0;
        for (int i = 0; i < count; i++)
            open |= clients[i].waiting;
        if (open || before != deliveries + answers) {
            before = deliveries + answers;
            quiet = now_ns() + 100000000;
        } else if (now_ns() >= quiet) {
            return;
        }
        pump(now_ns() + 20000000, 0);
    }
}

/* Every sender sends the next as soon as it has the answer to the last; in a strict loop the first
 * sender does, as soon as every client of this process has the last. */
static void closed_loop(double warm, double seconds)
{
    long long all = deliveries, all_answers = answers;
    running = 1;
    for (int i = 0; i < count; i++)
        if (clients[i].sends && clients[i].state == IN) {
            if (strict) {
                send_to_all(&clients[i]);
                break;
            }
            send_next(&clients[i]);
        }
    for (int64_t until = now_ns() + warm * 1e9; now_ns() < until;)
        pump(until, 0);
    long long delivered_before = deliveries, answered_before = answers, bytes_before = bytes;
    double cpu_before = cpu();
    int64_t start = now_ns();
    for (int64_t until = start + seconds * 1e9; now_ns() < until;)
        pump(until, 0);
    double elapsed = (now_ns() - start) / 1e9, busy = cpu() - cpu_before;
    long long delivered_now = deliveries, answered_now = answers, bytes_now = bytes;
    running = 0;
    settle(2);
    strict = 0;
    printf("{\"seconds\": %.6f, \"busy\": %.6f, \"deliveries\": %lld, \"answers\": %lld,"
           " \"bytes\": %lld, \"all_deliveries\": %lld, \"all_answers\": %lld, \"lost\": %d}\n",
        elapsed, busy, delivered_now - delivered_before, answered_now - answered_before,
        bytes_now - bytes_before, deliveries - all, answers - all_answers, lost);
}

static int by_delay(const void *a, const void *b)
{
    int64_t left = ((const struct receipt *)a)->after, right = ((const struct receipt *)b)->after;
    return (left > right) - (left < right);
}

static double quantile(double q)
{
    return timed ? times[(size_t)((timed - 1) * q)].after / 1e9 : -1;
}

/* `total` messages at `rate` a second by the senders in turn, whether or not they were answered. */
static void paced(double rate, int total, double patience)
{
    int64_t start = now_ns(), last = start, until;
    long long before = deliveries;
    int wanted = 0, next = 0;
    timed = 0;
    timing = 1;
    for (int i = 0; i < count; i++)
        wanted += clients[i].state == IN;
    for (int i = 0; i < total; i++) {
        for (until = start + i * (int64_t)(1e9 / rate); now_ns() < until;)
            pump(until, 0);
        for (int tries = 0; tries < count; tries++) {
            struct client *c = &clients[next++ % count];
            if (c->sends && c->state == IN) {
                send_next(c);
                break;
            }
        }
    }
    until = now_ns() + patience * 1e9;
    while (now_ns() < until && deliveries - before < (long long)wanted * total) {
        pump(until, 0);
        last = now_ns();
    }
    timing = 0;
    settle(1);
    qsort(times, timed, sizeof *times, by_delay);
    printf("{\"seconds\": %.6f, \"deliveries\": %lld, \"wanted\": %lld, \"p50\": %.6f,"
           " \"p99\": %.6f, \"max\": %.6f, \"lost\": %d}\n",
        (last - start) / 1e9, deliveries - before, (long long)wanted * total, quantile(0.5),
        quantile(0.99), quantile(1), lost);
}

/* Every receipt of the last paced command: [client, nanosecond of sending, nanoseconds until received]. */
static void receipts(void)
{
    printf("{\"receipts\": [");
    for (size_t i = 0; i < timed; i++)
        printf("%s[%d, %lld, %lld]", i ? ", " : "", times[i].client, (long long)times[i].sent,
            (long long)times[i].after);
    printf("]}\n");
}

static void add(int sends, const char *path)
{
    if (count == room_for) {
        room_for = room_for ? room_for * 2 : 1024;
        clients = realloc(clients, room_for * sizeof *clients);
    }
    clients[count++] = (struct client){.fd = -1, .port = port, .sends = sends, .path = strdup(path)};
}

static void set(struct word *word, const char *text)
{
    word->text = strdup(text);
    word->size = strlen(text);
}

static void handle(char *line)
{
    char *rest = strchr(line, ' ');
    double a = 0, b = 0, c = 0;
    rest = rest ? rest + 1 : line + strlen(line);
    sscanf(rest, "%lf %lf %lf", &a, &b, &c);
#define IS(name) (!strncmp(line, name, sizeof name - 1) && strchr(" ", line[sizeof name - 1]))
    if (IS("client")) add(a == 1, strchr(rest, ' ') + 1);
    else if (IS("port")) port = a;
    else if (IS("in_flight")) in_flight = a;
    else if (IS("padding")) padding = a;
    else if (IS("frame")) template = strdup(rest);
    else if (IS("hello")) set(&hello, rest);
    else if (IS("ready")) set(&ready, rest);
    else if (IS("delivery")) set(&delivery, rest);
    else if (IS("answer")) set(&answer, rest);
    else if (IS("ping")) set(&ping, rest);
    else if (IS("pong")) set(&pong, rest);
    else if (IS("open")) open_all(a);
    else if (IS("closed")) closed_loop(a, b);
    else if (IS("strict")) strict = 1, closed_loop(a, b);
    else if (IS("offers")) offers = a;
    else if (IS("paced")) paced(a, b, c);
    else if (IS("receipts")) receipts();
    else printf("{\"error\": \"unknown command\"}\n");
    fflush(stdout);
}

static void handle_input(void)
{
    ssize_t got = read(0, input + input_size, sizeof input - input_size);
    if (got <= 0)
        exit(0);
    input_size += got;
    char *line = input, *end;
    while ((end = memchr(line, '\n', input + input_size - line))) {
        *end = 0;
        handle(line);
        line = end + 1;
    }
    input_size -= line - input;
    memmove(input, line, input_size);
}

int main(void)
{
    struct rlimit files;
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(0);
    for (;;) {
        watch_input(1);
        while (!pump(now_ns() + 1000000000, 1))
            ;
        watch_input(0);
        handle_input();
    }
}
