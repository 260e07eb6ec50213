/*
 * The load generator: clients of one ROUTER in one thread, each with so many requests outstanding all the time.
 *
 *     load ADDRESS CLIENTS OUTSTANDING WARM COUNT REQUEST
 *
 * REQUEST is JSON; each @ in it becomes the request's number, so that every id and every name is used once. An answer
 * is told by the number that its "id" ends with; one that has an "error" is shown and ends the run. The first WARM
 * answers are not counted. It is in C so that what is measured is who answers, not who asks.
 *
 * Prints: seconds for COUNT answers, the median and the 99th percentile of the time that one took, in seconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#define PATIENCE_MS 10000
#define LARGEST 4096

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void die(const char *what, const char *detail)
{
    fprintf(stderr, "load: %s: %s\n", what, detail);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Send the request with this number; a socket that takes no more would be a mistake of ours. */
static void ask(void *socket, const char *request, long number, double *asked)
{
    char frame[LARGEST];
    size_t length = 0;
    for (const char *at = request; *at; at++) {
        if (length + 24 > sizeof frame)
            die("too long", request);
        if (*at == '@')
            length += sprintf(frame + length, "%ld", number);
        else
            frame[length++] = *at;
    }
    asked[number] = now();
    if (zmq_send(socket, frame, length, ZMQ_DONTWAIT) < 0)
        die("send", zmq_strerror(zmq_errno()));
}

/* The number of the request that this answers. */
static long answered(const char *reply, long total)
{
    const char *id = strstr(reply, "\"id\":\"");
    const char *end = id ? strchr(id + 6, '"') : NULL;
    if (!end || strstr(reply, "\"error\":{"))
        die("answered", reply);
    const char *digits = end;
    while (digits > id && digits[-1] >= '0' && digits[-1] <= '9')
        digits--;
    long number = atol(digits);
    if (number < 0 || number >= total)
        die("not asked", reply);
    return number;
}

int main(int argc, char **argv)
{
    if (argc != 7)
        die("usage", "load ADDRESS CLIENTS OUTSTANDING WARM COUNT REQUEST");
    int clients = atoi(argv[2]), outstanding = atoi(argv[3]);
    long warm = atol(argv[4]), count = atol(argv[5]), total = warm + count, sent = 0, done = 0;
    void *context = zmq_ctx_new();
    zmq_pollitem_t *polled = calloc(clients, sizeof *polled);
    double *asked = calloc(total, sizeof *asked), *took = calloc(count, sizeof *took), began = now();
    for (int i = 0; i < clients; i++) {
        polled[i].socket = zmq_socket(context, ZMQ_DEALER);
        polled[i].events = ZMQ_POLLIN;
        if (zmq_connect(polled[i].socket, argv[1]))
            die(argv[1], zmq_strerror(zmq_errno()));
    }
    for (int turn = 0; turn < outstanding; turn++)
        for (int i = 0; i < clients && sent < total; i++)
            ask(polled[i].socket, argv[6], sent++, asked);
    while (done < total) {
        if (zmq_poll(polled, clients, PATIENCE_MS) <= 0)
            die(argv[1], "no answer in 10 s");
        for (int i = 0; i < clients; i++) {
            char reply[LARGEST];
            int length;
            while (polled[i].revents
                   && (length = zmq_recv(polled[i].socket, reply, sizeof reply - 1, ZMQ_DONTWAIT)) >= 0) {
                reply[length < (int)sizeof reply ? length : (int)sizeof reply - 1] = 0;
                long number = answered(reply, total);
                if (!asked[number])
                    die("answered twice", reply);
                if (done >= warm)
                    took[done - warm] = now() - asked[number];
                asked[number] = 0;
                if (++done == warm)
                    began = now();
                if (sent < total)
                    ask(polled[i].socket, argv[6], sent++, asked);
            }
        }
    }
    double seconds = now() - began;
    qsort(took, count, sizeof *took, compare);
    printf("%.9f %.9f %.9f\n", seconds, took[count / 2], took[count * 99 / 100]);
    for (int i = 0; i < clients; i++) {
        int linger = 0;
        zmq_setsockopt(polled[i].socket, ZMQ_LINGER, &linger, sizeof linger);
        zmq_close(polled[i].socket);
    }
    zmq_ctx_term(context);
    return 0;
}
