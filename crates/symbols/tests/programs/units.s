# Many units that share one long line program. Assembled by tests/hostile.rs.
  .text
  .globl main
  .type main, @function
main:
.Lbegin:
  xor %eax, %eax
  ret
.Lend:
  .size main, .-main
  .section .debug_abbrev,"",@progbits
  .uleb128 1                    # compile unit, without children
  .uleb128 0x11
  .byte 0
  .uleb128 0x11, 0x01           # low_pc
  .uleb128 0x12, 0x07           # high_pc
  .uleb128 0x10, 0x17           # stmt_list
  .byte 0, 0
  .byte 0
  .section .debug_info,"",@progbits
  .rept 20000
  .long 28
  .short 4
  .long 0
  .byte 8
  .uleb128 1
  .quad .Lbegin
  .quad .Lend - .Lbegin
  .long 0
  .endr
  .section .debug_line,"",@progbits
  .long .Lline_end - .Lline
.Lline:
  .short 4
  .long .Lprogram - .Lheader
.Lheader:
  .byte 1, 1, 1, -5, 14, 13
  .byte 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1
  .byte 0, 0
.Lprogram:
  .byte 0, 9, 2                 # an address that nothing has
  .quad 0x100000000000
  .rept 1000000
  .byte 0x20
  .endr
  .byte 0, 1, 1                 # the end of the sequence
.Lline_end:
  .section .note.GNU-stack,"",@progbits
