// A board with its stock bootloader in simavr: what avrdude writes runs.
//
//   cc -O2 -I/usr/include/simavr -o bootloader bootloader.c -lsimavr -lelf -lutil
//   bootloader atmega328p optiboot_atmega328.hex LINK [RELAY PIN, such as D7, ..]
//
// LINK becomes a link to the serial line, a pseudo-terminal. Whoever opens the line resets the chip, as the line DTR of a real board
// does. Commands, one a line on standard input, and events, one JSON object a line on standard output:
//
//   counts     {"opened": times the line was opened, "received": bytes that the chip was sent, "relays": times a relay pin went high}
//   cut N      pulls the plug, power included, after N more bytes from the computer: {"cut": true}
//   plug       plugs the board in again: {"plugged": true}
//   wear N     the byte of flash at N is worn: it stays as if erased, whatever is written; -1: none is
//
// The end of standard input ends the program. simavr is under the GPL, version 3; so is this program once it is linked with it.

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sim_avr.h>
#include <avr_ioport.h>
#include <avr_uart.h>
#include <sim_hex.h>

#define MHZ 16
// MCUSR in the data memory of both chips, and its flags of a start with power and by the reset pin.
#define MCUSR 0x54
#define PORF 0x01
#define EXTRF 0x02
// Simulated between two looks at line and commands: two bytes at 115,200 baud take longer.
#define SLICE_US 100

static avr_t *chip;
static avr_irq_t *to_chip;
static const char *link_path;
// The computer's end of the line; -1 while the board is unplugged.
static int line = -1;
// A program has the line open.
static bool is_open;
// The chip takes another byte.
static bool is_ready = true;
static long opened, received, relays;
// Bytes until the plug is pulled; negative: never.
static long until_cut = -1;
// Address of a byte of flash that is worn; negative: none.
static long worn = -1;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void start_chip(uint8_t cause) {
    avr_reset(chip);
    chip->data[MCUSR] = cause;
    is_ready = true;
}

static void plug_in(void) {
    int terminal;
    char name[64];
    struct termios raw;
    if (openpty(&line, &terminal, name, NULL, NULL) < 0) fail("openpty");
    tcgetattr(terminal, &raw);
    cfmakeraw(&raw);
    tcsetattr(terminal, TCSANOW, &raw);
    // From now on reading fails as long as nobody has the line open.
    close(terminal);
    fcntl(line, F_SETFL, O_NONBLOCK);
    unlink(link_path);
    if (symlink(name, link_path) < 0) fail(link_path);
    start_chip(PORF);
}

static void unplug(void) {
    unlink(link_path);
    close(line);
    line = -1;
    is_open = false;
    until_cut = -1;
    printf("{\"cut\": true}\n");
}

static void from_chip(avr_irq_t *irq, uint32_t byte, void *none) {
    uint8_t sent = byte;
    if (is_open && write(line, &sent, 1) < 0 && errno != EAGAIN && errno != EIO) fail("the line");
}

static void chip_ready(avr_irq_t *irq, uint32_t value, void *ready) { is_ready = ready != NULL; }

static void relay_switched(avr_irq_t *irq, uint32_t high, void *none) { relays += high != 0; }

// Moves bytes from the line to the chip, as many as it takes.
static void serve_line(void) {
    uint8_t byte;
    while (line >= 0 && is_ready) {
        if (until_cut == 0) {
            unplug();
            return;
        }
        if (read(line, &byte, 1) != 1) {
            bool was_open = is_open;
            is_open = errno == EAGAIN;
            if (is_open && !was_open) {
                opened++;
                start_chip(EXTRF);
            }
            return;
        }
        if (!is_open) {
            is_open = true;
            opened++;
            start_chip(EXTRF);
        }
        received++;
        if (until_cut > 0) until_cut--;
        avr_raise_irq(to_chip, byte);
    }
}

// Does what standard input says; returns whether it goes on.
static bool serve_commands(void) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char command[64];
    while (poll(&input, 1, 0) > 0) {
        if (fgets(command, sizeof command, stdin) == NULL) return false;
        if (strcmp(command, "counts\n") == 0) {
            printf("{\"opened\": %ld, \"received\": %ld, \"relays\": %ld}\n", opened, received, relays);
        } else if (strcmp(command, "plug\n") == 0) {
            plug_in();
            printf("{\"plugged\": true}\n");
        } else if (sscanf(command, "cut %ld", &until_cut) != 1 && sscanf(command, "wear %ld", &worn) != 1) {
            fprintf(stderr, "bootloader: unknown command %s", command);
            return false;
        }
    }
    return true;
}

static void run_chip(avr_cycle_count_t until) {
    // Written and read back in different slices: a page takes 4.5 ms to write.
    if (worn >= 0 && worn <= chip->flashend) chip->flash[worn] = 0xFF;
    while (chip->cycle < until) {
        int state = avr_run(chip);
        // Blank flash: a real chip runs through it into the bootloader, again and again, until it is reset.
        if (state == cpu_Crashed || state == cpu_Done) chip->cycle = until;
    }
}

// A chip that sleeps takes no time of its own: `main` keeps the pace.
static void no_pause(avr_t *sleeping, avr_cycle_count_t cycles) {}

static void wire_chip(char **relay_pins) {
    chip->sleep = no_pause;
    chip->vcc = chip->avcc = chip->aref = 5000;
    uint32_t flags = 0;
    avr_ioctl(chip, AVR_IOCTL_UART_GET_FLAGS('0'), &flags);
    flags &= ~(AVR_UART_FLAG_STDIO | AVR_UART_FLAG_POLL_SLEEP);
    avr_ioctl(chip, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    avr_irq_t *uart = avr_io_getirq(chip, AVR_IOCTL_UART_GETIRQ('0'), 0);
    to_chip = uart + UART_IRQ_INPUT;
    avr_irq_register_notify(uart + UART_IRQ_OUTPUT, from_chip, NULL);
    avr_irq_register_notify(uart + UART_IRQ_OUT_XON, chip_ready, &is_ready);
    avr_irq_register_notify(uart + UART_IRQ_OUT_XOFF, chip_ready, NULL);
    for (; *relay_pins != NULL; relay_pins++) {
        avr_irq_t *pin = avr_io_getirq(chip, AVR_IOCTL_IOPORT_GETIRQ((*relay_pins)[0]), (*relay_pins)[1] - '0');
        avr_irq_register_notify(pin, relay_switched, NULL);
    }
}

static void sleep_until(const struct timespec *start, avr_cycle_count_t cycle) {
    long long us = cycle / MHZ;
    struct timespec due = {start->tv_sec + us / 1000000, start->tv_nsec + us % 1000000 * 1000};
    if (due.tv_nsec >= 1000000000) {
        due.tv_sec++;
        due.tv_nsec -= 1000000000;
    }
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

int main(int count, char **arguments) {
    if (count < 4) {
        fprintf(stderr, "bootloader: expected CHIP BOOTLOADER.hex LINK [RELAY PIN ..]\n");
        return 2;
    }
    link_path = arguments[3];
    setvbuf(stdout, NULL, _IOLBF, 0);
    // Read by poll: nothing may wait in a buffer.
    setvbuf(stdin, NULL, _IONBF, 0);
    uint32_t size, start;
    uint8_t *bootloader = read_ihex_file(arguments[2], &size, &start);
    chip = avr_make_mcu_by_name(arguments[1]);
    if (bootloader == NULL || chip == NULL) {
        fprintf(stderr, "bootloader: no chip %s or no file %s\n", arguments[1], arguments[2]);
        return 2;
    }
    avr_init(chip);
    chip->frequency = MHZ * 1000000;
    chip->log = LOG_ERROR;
    memcpy(chip->flash + start, bootloader, size);
    // The fuse BOOTRST: every reset enters the bootloader.
    chip->reset_pc = start;
    chip->codeend = chip->flashend;
    wire_chip(arguments + 4);
    plug_in();
    printf("{\"plugged\": true}\n");
    struct timespec began;
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (avr_cycle_count_t due = 0; serve_commands(); due += SLICE_US * MHZ) {
        serve_line();
        // An unplugged chip has no power.
        if (line >= 0) run_chip(due);
        if (chip->cycle < due) chip->cycle = due;
        sleep_until(&began, due);
    }
    unlink(link_path);
    return 0;
}
