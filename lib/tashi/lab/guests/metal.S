/* What a laboratory's machine runs: nothing, until its power button is pressed; then it goes off. It greets on its
 * serial line (COM1), and gives back what is typed there.
 *
 * It sleeps with every interrupt masked but the SCI (IRQ 9) and the line's (IRQ 4), so that it costs no processor time.
 * The registers are those of the PIIX4's power management at 0x600, where SeaBIOS puts it (ACPI 6.4, 4.8.3: PM1 status,
 * enable, control), and of the 16550A at 0x3f8.
 */
        .code16
        .globl  _start

        .equ    PM1_STATUS, 0x600
        .equ    PM1_ENABLE, 0x602
        .equ    PM1_CONTROL, 0x604
        .equ    BUTTON, 0x100           /* PWRBTN_STS, PWRBTN_EN */
        .equ    SCI, 0x0001             /* SCI_EN */
        .equ    OFF, 0x2000             /* SLP_EN with SLP_TYP 0: S5 of this chipset */
        .equ    IRQ9, 0x71              /* its vector, by the BIOS */
        .equ    COM1, 0x3f8             /* data; then interrupt enable, ... line status at + 5 */
        .equ    IRQ4, 0x0c

_start:
        cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %ss
        mov     $0x7c00, %sp
        movw    $pressed, IRQ9 * 4
        movw    %ax, IRQ9 * 4 + 2
        movw    $typed, IRQ4 * 4
        movw    %ax, IRQ4 * 4 + 2
        mov     $greeting, %si
        cld
greet:  lodsb
        test    %al, %al
        jz      greeted
        call    write
        jmp     greet
greeted:
        mov     $COM1 + 1, %dx
        mov     $0x01, %al              /* received data available */
        out     %al, %dx
        mov     $COM1 + 4, %dx
        mov     $0x0b, %al              /* DTR, RTS, and OUT2, which lets the interrupt through */
        out     %al, %dx
        mov     $0xeb, %al              /* IRQ 4 and the cascade alone */
        out     %al, $0x21
        mov     $0xfd, %al              /* IRQ 9 alone */
        out     %al, $0xa1
        mov     $BUTTON, %ax
        mov     $PM1_STATUS, %dx        /* what was pressed before does not count */
        out     %ax, %dx
        mov     $PM1_ENABLE, %dx
        out     %ax, %dx
        mov     $SCI, %ax
        mov     $PM1_CONTROL, %dx
        out     %ax, %dx
        sti
sleep:  hlt
        jmp     sleep

pressed:
        mov     $OFF, %ax
        mov     $PM1_CONTROL, %dx
        out     %ax, %dx
        iret

typed:
        mov     $COM1 + 5, %dx
        in      %dx, %al
        test    $0x01, %al
        jz      taken
        mov     $COM1, %dx
        in      %dx, %al
        call    write
        jmp     typed
taken:  mov     $0x20, %al              /* end of interrupt */
        out     %al, $0x20
        iret

write:  mov     %al, %ah                /* one byte, when there is room for it */
        mov     $COM1 + 5, %dx
full:   in      %dx, %al
        test    $0x20, %al
        jz      full
        mov     $COM1, %dx
        mov     %ah, %al
        out     %al, %dx
        ret

greeting:
        .asciz  "\r\nmachine is up\r\n"

        .org    510
        .word   0xaa55                  /* what the BIOS looks for */
