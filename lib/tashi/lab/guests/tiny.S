/* The smallest guest that can be watched: one boot sector, no disk access, no interrupts of its own.
 *
 * On COM1 (115200 8N1) it says "READY tiny" and then, at each tick of the BIOS clock (18.2 a second), one line
 * "T xxxx": the low word of the tick counter in hex. Between ticks it sleeps in HLT, so that thirty of them
 * fit on two cores. It has no ACPI: it answers no power button.
 */
        .code16
        .globl  _start

        .equ    COM1, 0x3f8
        .equ    TICKS, 0x46c            /* BIOS data area: ticks since midnight */

_start:
        cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %ss
        mov     $0x7c00, %sp
        cld
        mov     $COM1 + 1, %dx          /* no UART interrupts */
        out     %al, %dx
        mov     $COM1 + 3, %dx          /* divisor latch open */
        mov     $0x80, %al
        out     %al, %dx
        mov     $COM1, %dx              /* divisor 1: 115200 */
        mov     $1, %al
        out     %al, %dx
        mov     $COM1 + 1, %dx
        xor     %al, %al
        out     %al, %dx
        mov     $COM1 + 3, %dx          /* 8N1, latch closed */
        mov     $3, %al
        out     %al, %dx
        sti
        mov     $ready, %si
say:    lodsb
        test    %al, %al
        jz      beat
        call    put
        jmp     say

beat:   mov     TICKS, %bx
sleep:  hlt
        cmp     TICKS, %bx
        je      sleep
        mov     TICKS, %bx
        mov     $'T', %al
        call    put
        mov     $' ', %al
        call    put
        mov     $4, %cx
digit:  rol     $4, %bx
        mov     %bl, %al
        and     $15, %al
        add     $'0', %al
        cmp     $'9', %al
        jbe     1f
        add     $'a' - '9' - 1, %al
1:      call    put
        loop    digit
        mov     $10, %al
        call    put
        jmp     beat

put:    push    %dx                     /* send %al when the transmitter is free */
        push    %ax
        mov     $COM1 + 5, %dx
2:      in      %dx, %al
        test    $0x20, %al
        jz      2b
        pop     %ax
        mov     $COM1, %dx
        out     %al, %dx
        pop     %dx
        ret

ready:  .asciz  "READY tiny\n"

        .org    510
        .word   0xaa55                  /* what the BIOS looks for */
