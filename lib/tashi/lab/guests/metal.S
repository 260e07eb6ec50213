/* What a laboratory's machine runs: nothing, until its power button is pressed; then it goes off.
 *
 * It sleeps with every interrupt masked but the SCI (IRQ 9), so that it costs no processor time. The registers are
 * those of the PIIX4's power management at 0x600, where SeaBIOS puts it (ACPI 6.4, 4.8.3: PM1 status, enable, control).
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

_start:
        cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %ss
        mov     $0x7c00, %sp
        movw    $pressed, IRQ9 * 4
        movw    %ax, IRQ9 * 4 + 2
        mov     $0xfb, %al              /* the cascade alone */
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

        .org    510
        .word   0xaa55                  /* what the BIOS looks for */
