package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/milaan/milaan/internal/console"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/internal/staff"
)

type userCommand struct {
	Add    userAddCommand    `cmd:"" help:"Add a user, and print a one-time link to set a password."`
	List   userListCommand   `cmd:"" help:"List users and their roles."`
	Remove userRemoveCommand `cmd:"" help:"Remove a user, who is signed out everywhere."`
	Reset  userResetCommand  `cmd:"" help:"Print a one-time link by which a user sets a new password."`
}

// withStaff does something with the people of the database the settings name.
func (s *settings) withStaff(ctx context.Context, do func(server.Config, *staff.Desk, *server.Tools) error) (err error) {
	config, err := s.load()
	if err != nil {
		return err
	}
	log := config.Logger()
	tools, err := server.OpenTools(ctx, config, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tools.Store.Close()) }()
	return do(config, server.OpenStaff(config, tools.Store, log), tools)
}

// findUser finds a user by what was typed.
func findUser(ctx context.Context, desk *staff.Desk, email string) (*staff.User, error) {
	name, err := staff.ParseEmail(email)
	if err != nil {
		return nil, usageError{err}
	}
	u, err := desk.Store.FindUserByEmail(ctx, name)
	if errors.Is(err, staff.ErrNoUser) {
		return nil, fmt.Errorf("there is no user %s: see milaan user list", name)
	}
	return u, err
}

// printLink prints a link on standard output, so that a script can take it.
func printLink(term terminal, config server.Config, token string) error {
	_, _ = fmt.Fprintln(term.err, "The link works once, for three days; a gateway must run to open it:")
	_, err := fmt.Fprintln(term.out, console.LinkAddress(config.ConsoleOrigin(config.Listen), token))
	return err
}

type userAddCommand struct {
	Email    string `arg:"" help:"E-mail address, which the user signs in with."`
	Role     string `required:"" help:"owner, operator, reviewer or viewer; or, of one merchant, merchant-admin, merchant-developer or merchant-viewer."`
	Merchant string `help:"The merchant that the role is for."`
	Name     string `help:"The user's name."`
}

// Run adds the user. It works beside a running gateway.
func (a userAddCommand) Run(ctx context.Context, s *settings, term terminal) error {
	grant, err := staff.ParseGrant(a.Role, a.Merchant)
	if err != nil {
		return usageError{err}
	}
	return s.withStaff(ctx, func(config server.Config, desk *staff.Desk, tools *server.Tools) error {
		if a.Merchant != "" {
			contents, err := tools.Store.LoadDirectory(ctx)
			if err != nil {
				return err
			}
			known := false
			for _, m := range contents.Merchants {
				known = known || m.ID == a.Merchant && !m.Retired
			}
			if !known {
				return fmt.Errorf("there is no merchant %q: see the apply file", a.Merchant)
			}
		}
		_, token, err := desk.Add(ctx, staff.CommandLine, a.Email, a.Name, []staff.Grant{grant}, staff.Visitor{})
		if err != nil {
			return err
		}
		return printLink(term, config, token)
	})
}

type userListCommand struct{}

// Run lists the users.
func (userListCommand) Run(ctx context.Context, s *settings, term terminal) error {
	return s.withStaff(ctx, func(_ server.Config, desk *staff.Desk, _ *server.Tools) error {
		table := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "E-MAIL\tROLES\tSECOND FACTOR\tNAME")
		after := ""
		for {
			const batch = 200
			users, err := desk.Store.Users(ctx, "", after, batch)
			if err != nil {
				return err
			}
			for _, u := range users {
				var roles []string
				for _, g := range u.Grants {
					roles = append(roles, g.String())
				}
				second := "no"
				if u.HasSecond() {
					second = "yes"
				}
				_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", u.Email, strings.Join(roles, ","), second, u.Name)
				after = u.Email
			}
			if len(users) < batch {
				return table.Flush()
			}
		}
	})
}

type userRemoveCommand struct {
	Email string `arg:"" help:"The user's e-mail address."`
}

// Run removes the user.
func (r userRemoveCommand) Run(ctx context.Context, s *settings, term terminal) error {
	return s.withStaff(ctx, func(_ server.Config, desk *staff.Desk, _ *server.Tools) error {
		u, err := findUser(ctx, desk, r.Email)
		if err != nil {
			return err
		}
		if err := desk.Remove(ctx, staff.CommandLine, u, staff.Visitor{}); err != nil {
			return err
		}
		_, err = fmt.Fprintln(term.out, u.Email, "is removed")
		return err
	})
}

type userResetCommand struct {
	Email   string `arg:"" help:"The user's e-mail address."`
	Factors bool   `help:"Using the link also removes the user's authenticator app, passkeys and recovery codes."`
}

// Run prints the link.
func (r userResetCommand) Run(ctx context.Context, s *settings, term terminal) error {
	return s.withStaff(ctx, func(config server.Config, desk *staff.Desk, _ *server.Tools) error {
		u, err := findUser(ctx, desk, r.Email)
		if err != nil {
			return err
		}
		token, err := desk.Reset(ctx, staff.CommandLine, u, r.Factors, staff.Visitor{})
		if err != nil {
			return err
		}
		return printLink(term, config, token)
	})
}
