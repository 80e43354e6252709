package upi_test

import (
	"fmt"
	"strings"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

func ExampleParseUTR() {
	for _, s := range []string{" 001718859181 ", "sbin125050589474", "HDFCR52026041560739217"} {
		utr, _ := upi.ParseUTR(s)
		fmt.Println(utr, utr.Kind(), utr.Masked())
	}
	_, err := upi.ParseRRN("12345")
	fmt.Println(err)
	// Output:
	// 001718859181 rrn xxxxxxxx9181
	// SBIN125050589474 neft xxxxxxxxxxxx9474
	// HDFCR52026041560739217 rtgs xxxxxxxxxxxxxxxxxx9217
	// upi: not a UTR: type the 12 digits your UPI app shows as UTR, UPI reference or RRN
}

func ExampleMaskPayer() {
	fmt.Println(upi.MaskPayer("rahulxyz@okaxis"))
	fmt.Println(upi.MaskPayer("9912346690@ybl"))
	fmt.Println(upi.MaskPayer("9912346690"))
	fmt.Println(upi.MaskPayer("Ravi Kumar"))
	// Output:
	// raxxxxxx@okaxis
	// 99xxxx6690@ybl
	// 99xxxx6690
	// Raxxxxxxxx
}

func ExampleLink() {
	link := upi.Link{
		PayeeVPA:  "test@upi",
		PayeeName: "Test Traders",
		Amount:    500 * money.Rupee,
		Note:      "Order 55",
	}
	if err := link.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(link)
	// Output: upi://pay?pa=test@upi&pn=Test%20Traders&tn=Order%2055&am=500.00&cu=INR
}

func ExampleQRSVG() {
	svg, err := upi.QRSVG("upi://pay?pa=test@upi&pn=Test&cu=INR", upi.QROptions{Label: "Pay Test"})
	if err != nil {
		fmt.Println(err)
		return
	}
	head, _, _ := strings.Cut(string(svg), "<path")
	fmt.Println(head)
	// Output: <svg xmlns="http://www.w3.org/2000/svg" viewBox="-4 -4.5 37 37" shape-rendering="crispEdges" role="img" aria-label="Pay Test">
}
