/* The Linux guest's heartbeat: what makes an interruption of the guest visible from outside.
 *
 *     beat MAC PEER
 *
 * Every 10 ms one UDP datagram "MAC COUNTER SECONDS" goes to PEER port 9999 (SECONDS: the guest's own monotonic
 * clock), every tenth also to the console as "BEAT COUNTER". The timer is absolute, so a late beat shifts no other.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 9999, PERIOD_NS = 10 * 1000 * 1000, CONSOLE_EVERY = 10 };

int main(int argc, char **argv)
{
    struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(PORT) };
    struct itimerspec every = { { 0, PERIOD_NS }, { 0, PERIOD_NS } };
    struct timespec now;
    unsigned long count = 0;
    uint64_t ticks;
    char line[96];
    int sock, console, timer, length;

    if (argc != 3 || !inet_aton(argv[2], &peer.sin_addr)) {
        fprintf(stderr, "usage: beat MAC PEER\n");
        return 2;
    }
    sock = socket(AF_INET, SOCK_DGRAM, 0);
    timer = timerfd_create(CLOCK_MONOTONIC, 0);
    console = open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK);
    if (sock < 0 || timer < 0 || console < 0 || timerfd_settime(timer, 0, &every, NULL) < 0) {
        perror("beat");
        return 1;
    }
    while (read(timer, &ticks, sizeof ticks) == sizeof ticks) {
        count++;
        clock_gettime(CLOCK_MONOTONIC, &now);
        length = snprintf(line, sizeof line, "%s %lu %ld.%06ld\n", argv[1], count, (long)now.tv_sec, now.tv_nsec / 1000);
        /* A beat that can't be sent is a beat that is missed: that is what the listener measures. */
        sendto(sock, line, length, MSG_DONTWAIT, (struct sockaddr *)&peer, sizeof peer);
        if (count % CONSOLE_EVERY == 0) {
            length = snprintf(line, sizeof line, "BEAT %lu\n", count);
            if (write(console, line, length) < 0 && errno != EAGAIN)
                return 1;
        }
    }
    perror("beat: timer");
    return 1;
}
