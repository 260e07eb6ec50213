/* The Linux guest's heartbeat: what makes an interruption of the guest visible from outside.
 *
 *     beat MAC PEER
 *
 * Every 10 ms one UDP datagram "MAC COUNTER SECONDS" goes to PEER port 9999 (SECONDS: the guest's own monotonic
 * clock), every tenth also to the console as "BEAT COUNTER". The timer is absolute, so a late beat shifts no other.
 *
 * Each beat begins with a flush of the processor's TLB. QEMU before 9.0, when it emulates the processor, may forget
 * during a migration that a page was written, as long as the page's entry in its TLB is old; a guest that writes little
 * and switches no process then arrives with old pages in it, and hangs. With KVM nothing of this is so.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 9999, PERIOD_NS = 10 * 1000 * 1000, CONSOLE_EVERY = 10 };
/* More pages than Linux invalidates one by one. */
enum { FLUSHED_BYTES = 64 * 4096 };

/* Taking a right from many pages makes the kernel load CR3 anew: everything in the TLB goes. */
static int flush_tlb(char *pages)
{
    return mprotect(pages, FLUSHED_BYTES, PROT_READ) || mprotect(pages, FLUSHED_BYTES, PROT_READ | PROT_WRITE);
}

int main(int argc, char **argv)
{
    struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(PORT) };
    struct itimerspec every = { { 0, PERIOD_NS }, { 0, PERIOD_NS } };
    struct timespec now;
    unsigned long count = 0;
    uint64_t ticks;
    char line[96], *pages;
    int sock, console, timer, length;

    if (argc != 3 || !inet_aton(argv[2], &peer.sin_addr)) {
        fprintf(stderr, "usage: beat MAC PEER\n");
        return 2;
    }
    sock = socket(AF_INET, SOCK_DGRAM, 0);
    timer = timerfd_create(CLOCK_MONOTONIC, 0);
    console = open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK);
    pages = mmap(NULL, FLUSHED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (pages == MAP_FAILED || sock < 0 || timer < 0 || console < 0 || timerfd_settime(timer, 0, &every, NULL) < 0) {
        perror("beat");
        return 1;
    }
    while (read(timer, &ticks, sizeof ticks) == sizeof ticks && !flush_tlb(pages)) {
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
    perror("beat");
    return 1;
}
